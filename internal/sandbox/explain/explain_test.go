package explain

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// table is a kernel that knows what it is asked for, by destination and source.
type table map[string]Route

func (k table) RouteTo(destination, source netip.Addr) (Route, error) {
	key := destination.String()
	if source.IsValid() {
		key += " from " + source.String()
	}
	r, ok := k[key]
	if !ok {
		return Route{}, fmt.Errorf("no route leads to %v: %w", destination, errdefs.ErrNotFound)
	}
	return r, nil
}

// names are plugins by the key of a lease: who has which address.
type names map[string]map[string]string

func (p names) Lookup(_ context.Context, lease resource.LeaseReference, name string) ([]resource.Attachment, error) {
	known, ok := p[lease.Key]
	if !ok {
		return nil, fmt.Errorf("connection refused: %w", errdefs.ErrUnavailable)
	}
	address, ok := known[name]
	switch {
	case !ok:
		return nil, nil
	case address == "":
		return []resource.Attachment{{}}, nil
	}
	return []resource.Attachment{{IPv4Address: netip.MustParsePrefix(address)}}, nil
}

func (p names) Verdict(_ context.Context, lease resource.LeaseReference, destination netip.Addr) (resource.Explained, error) {
	switch lease.Key {
	case "c/2":
		return resource.Explained{}, fmt.Errorf("plugin lan: does not tell: %w", errdefs.ErrNotImplemented)
	case "c/3":
		return resource.Explained{}, fmt.Errorf("connection refused: %w", errdefs.ErrUnavailable)
	}
	return resource.Explained{Answer: "accepted", Why: "to " + destination.String()}, nil
}

func route(text string) Route {
	var r Route
	words := strings.Fields(text)
	r.Destination = netip.MustParsePrefix(words[0])
	for i := 1; i+1 < len(words); i += 2 {
		switch value := words[i+1]; words[i] {
		case "via":
			r.Gateway = netip.MustParseAddr(value)
		case "dev":
			r.Interface = value
		case "src":
			r.Source = netip.MustParseAddr(value)
		case "table":
			r.Table = value
		}
	}
	r.Rule = "9: lookup " + r.Table
	return r
}

func bench() Explainer {
	attach := func(place int, name, v4, gateway string, priority int) resource.AllocatedAttachment {
		a := resource.AllocatedAttachment{
			Attachment: resource.Attachment{NetworkID: "id-" + name, Network: name, InterfaceName: fmt.Sprintf("eth%d", place), GatewayPriority: priority},
			Plugin:     resource.PluginInfo{Plugin: "p-" + name, Variant: "v"},
			Lease:      resource.LeaseReference{Key: fmt.Sprintf("c/%d", place)},
		}
		if v4 != "" {
			a.Attachment.IPv4Address = netip.MustParsePrefix(v4)
		}
		if gateway != "" {
			a.Attachment.IPv4Gateway = netip.MustParseAddr(gateway)
		}
		return a
	}
	x := Explainer{
		Attachments: []resource.AllocatedAttachment{
			attach(0, "web", "10.1.0.2/24", "10.1.0.1", 0), attach(1, "db", "10.2.0.1/24", "", 0),
			attach(2, "lan", "10.3.0.2/24", "10.3.0.1", 7), attach(3, "raw", "", "", 0), attach(4, "web", "10.1.0.3/24", "10.1.0.1", 0),
		},
		Kernel: table{
			"10.1.0.1":                   route("10.1.0.0/24 dev eth0 src 10.1.0.2 table main"),
			"10.1.0.1 from 10.1.0.2":     route("10.1.0.0/24 dev eth0 src 10.1.0.2 table 1002"),
			"10.2.0.2":                   route("10.2.0.0/24 dev eth1 src 10.2.0.1 table main"),
			"10.2.0.2 from 10.2.0.1":     route("10.2.0.0/24 dev eth1 src 10.2.0.1 table main"),
			"10.3.0.1":                   route("10.3.0.0/24 dev eth2 src 10.3.0.2 table main"),
			"10.3.0.1 from 10.3.0.2":     route("10.3.0.0/24 dev eth2 src 10.3.0.2 table 1004"),
			"198.41.0.4":                 route("0.0.0.0/0 via 10.3.0.1 dev eth2 src 10.3.0.2 table main"),
			"198.41.0.4 from 10.3.0.2":   route("0.0.0.0/0 via 10.3.0.1 dev eth2 src 10.3.0.2 table 1004"),
			"10.2.0.1":                   {Local: true},
			"172.16.0.9":                 route("172.16.0.0/16 dev tun0 src 172.16.0.1 table main"),
			"172.16.0.9 from 172.16.0.1": route("172.16.0.0/16 dev tun0 src 172.16.0.1 table main"),
			"192.0.2.1":                  route("192.0.2.0/24 via 10.1.0.9 dev eth0 src 10.1.0.2 table main"),
			"192.0.2.1 from 10.1.0.2":    route("192.0.2.0/24 via 10.1.0.9 dev eth0 src 10.1.0.2 table 1002"),
			"198.51.100.1":               route("198.51.100.0/24 via 10.1.0.9 dev eth1 src 10.2.0.1 table main"),
		},
		Plugins: names{
			"c/0": {"app": "10.1.0.1/24", "both": "10.1.0.1/24", "mute": ""}, "c/1": {"app.x": "10.2.0.2/24"},
			"c/2": {"both": "10.3.0.1/24"},
		},
	}
	x.Attachments[0].Attachment.Routes = []resource.Route{{Destination: netip.MustParsePrefix("192.0.2.0/24"), Gateway: netip.MustParseAddr("10.1.0.9")}}
	return x
}

// text is explanations, a line each.
func text(es []resource.Explanation) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "%s (%v)\n", e.Target, e.Address)
		for _, n := range e.Names {
			fmt.Fprintf(&b, "  name: %s: %s\n", n.Answer, n.Why)
		}
		for _, x := range []struct {
			what string
			resource.Explained
		}{
			{"source", e.Source},
			{"rule", e.Rule},
			{"route", e.Route},
			{"gateway", e.Gateway},
			{"interface", e.Interface},
			{"network", e.Network},
			{"plugin", e.Plugin},
			{"firewall", e.Firewall},
		} {
			if x.Answer != "" {
				fmt.Fprintf(&b, "  %s: %s: %s\n", x.what, x.Answer, x.Why)
			}
		}
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"10.1.0.1": `10.1.0.1 (10.1.0.1)
  source: 10.1.0.2: the address of eth0, by which table main leads there (10.1.0.0/24 dev eth0)
  rule: 9: lookup 1002: all from that address goes by the own table of eth0, so that answers leave where questions come in
  route: 10.1.0.0/24 dev eth0 table 1002: the subnet of network web
  gateway: none: the destination is on the network itself
  interface: eth0: number 1 of 5 in the order of the networks
  network: web: eth0 is plugged into it
  plugin: p-web/v: serves network web
  firewall: accepted: to 10.1.0.1
`,
		"198.41.0.4": `198.41.0.4 (198.41.0.4)
  source: 10.3.0.2: the address of eth2, by which table main leads there (default via 10.3.0.1 dev eth2)
  rule: 9: lookup 1004: all from that address goes by the own table of eth2, so that answers leave where questions come in
  route: default via 10.3.0.1 dev eth2 table 1004: network lan has the highest gateway priority, 7, of those with a gateway for it; others: web by eth0 (0), web by eth4 (0)
  gateway: 10.3.0.1: the gateway of network lan
  interface: eth2: number 3 of 5 in the order of the networks
  network: lan: eth2 is plugged into it
  plugin: p-lan/v: serves network lan
  firewall: unknown: plugin p-lan does not say what it lets through
`,
		"192.0.2.1": `192.0.2.1 (192.0.2.1)
  source: 10.1.0.2: the address of eth0, by which table main leads there (192.0.2.0/24 via 10.1.0.9 dev eth0)
  rule: 9: lookup 1002: all from that address goes by the own table of eth0, so that answers leave where questions come in
  route: 192.0.2.0/24 via 10.1.0.9 dev eth0 table 1002: network web alone has a route for it
  gateway: 10.1.0.9: named by a route to 192.0.2.0/24 of network web
  interface: eth0: number 1 of 5 in the order of the networks
  network: web: eth0 is plugged into it
  plugin: p-web/v: serves network web
  firewall: accepted: to 192.0.2.1
`,
		"10.2.0.1": `10.2.0.1 (10.2.0.1)
  route: local: the container's own address of eth1 on network db
`,
		"172.16.0.9": `172.16.0.9 (172.16.0.9)
  source: 172.16.0.1: the address of tun0, by which table main leads there (172.16.0.0/16 dev tun0)
  rule: 9: lookup main: no earlier rule speaks of this source address, so the main table decides
  route: 172.16.0.0/16 dev tun0 table main: somebody made it in the container
  interface: tun0: the route's
  network: none: tun0 is not Patchbay's
`,
		"198.51.100.1": `198.51.100.1 (198.51.100.1)
  source: 10.2.0.1: the address of eth1, by which table main leads there (198.51.100.0/24 via 10.1.0.9 dev eth1)
  route: none: from 10.2.0.1: no route leads to 198.51.100.1
`,
		"2001:db8::1": `2001:db8::1 (2001:db8::1)
  route: none: no route leads to 2001:db8::1; none of its networks has an ipv6 gateway
`,
		"both": `both (10.3.0.1)
  name: 10.3.0.1: network lan has a container of that name; the first that knows it
  name: 10.1.0.1: network web has a container of that name; comes after those of an earlier network
  name: unknown: network db has nobody of that name
  name: no answer: network raw: its plugin p-raw: connection refused
  source: 10.3.0.2: the address of eth2, by which table main leads there (10.3.0.0/24 dev eth2)
  rule: 9: lookup 1004: all from that address goes by the own table of eth2, so that answers leave where questions come in
  route: 10.3.0.0/24 dev eth2 table 1004: the subnet of network lan
  gateway: none: the destination is on the network itself
  interface: eth2: number 3 of 5 in the order of the networks
  network: lan: eth2 is plugged into it
  plugin: p-lan/v: serves network lan
  firewall: unknown: plugin p-lan does not say what it lets through
`,
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			got, err := bench().Explain(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, text(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplainEverything(t *testing.T) {
	t.Parallel()
	got, err := bench().Explain(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, e := range got {
		targets = append(targets, fmt.Sprintf("%s %v %s", e.Target, e.Address, e.Route.Answer))
	}
	want := []string{
		"network web 10.1.0.1 10.1.0.0/24 dev eth0 table 1002", "network db 10.2.0.2 10.2.0.0/24 dev eth1 table main",
		"network lan 10.3.0.1 10.3.0.0/24 dev eth2 table 1004", "network raw invalid IP unknown",
		"internet 198.41.0.4 default via 10.3.0.1 dev eth2 table 1004",
	}
	if diff := cmp.Diff(want, targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

func TestExplainWithoutNetworks(t *testing.T) {
	t.Parallel()
	got, err := Explainer{Kernel: table{}, Plugins: names{}}.Explain(t.Context(), "")
	want := `internet (198.41.0.4)
  route: none: no route leads to 198.41.0.4; the container is on no network
internet (2001:503:ba3e::2:30)
  route: none: no route leads to 2001:503:ba3e::2:30; the container is on no network
`
	if diff := cmp.Diff(want, text(got)); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestExplainOnEqualPriorities(t *testing.T) {
	t.Parallel()
	x := bench()
	x.Attachments[2].Attachment.GatewayPriority = 0
	want := "network web is the first of those with a gateway for it; gateway priority 0, as lan by eth2 (0), web by eth4 (0)"
	if got := x.whyRoute(route("0.0.0.0/0 via 10.1.0.1 dev eth0 table main")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestExplainErrors(t *testing.T) {
	t.Parallel()
	_, err := bench().Explain(t.Context(), "nobody")
	want := []string{
		"name nobody: no network of the container knows it; for another destination give its address: not found",
		"network lan has nobody of that name: unknown", "network web has nobody of that name: unknown",
		"network db has nobody of that name: unknown", "network raw: its plugin p-raw: connection refused: no answer",
	}
	if !errdefs.IsNotFound(err) || err.Error() != strings.Join(want, "\n") {
		t.Errorf("unknown name: %v\nwant %s", err, strings.Join(want, "\n"))
	}
	for _, target := range []string{"0.0.0.0", "fe80::1", "fe80::1%eth0", "224.0.0.1"} {
		if _, err := bench().Explain(t.Context(), target); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v, want it refused", target, err)
		}
	}
	if _, err := bench().Explain(t.Context(), "mute"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "gives no addresses") {
		t.Errorf("a name without address: %v", err)
	}
	// NAME.NETWORK is asked of that network alone.
	got, err := bench().Explain(t.Context(), "app.web")
	if err != nil || len(got) != 1 || len(got[0].Names) != 1 || got[0].Address != netip.MustParseAddr("10.1.0.1") {
		t.Errorf("app.web: %+v, %v", got, err)
	}
}
