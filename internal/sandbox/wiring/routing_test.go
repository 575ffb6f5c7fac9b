package wiring

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// asked makes an attachment out of words: addresses with a length, gateways
// after "via", routes as DESTINATION or DESTINATION=GATEWAY after "to", and a
// gateway priority after "priority".
func asked(t testing.TB, words string) resource.Attachment {
	t.Helper()
	var a resource.Attachment
	kind := "address"
	for word := range strings.FieldsSeq(words) {
		switch {
		case word == "via" || word == "to" || word == "priority":
			kind = word
			continue
		case kind == "priority":
			if _, err := fmt.Sscan(word, &a.GatewayPriority); err != nil {
				t.Fatal(err)
			}
		case kind == "to":
			destination, gateway, _ := strings.Cut(word, "=")
			r := resource.Route{Destination: netip.MustParsePrefix(destination)}
			if gateway != "" {
				r.Gateway = netip.MustParseAddr(gateway)
			}
			a.Routes = append(a.Routes, r)
		case kind == "via" && strings.Contains(word, ":"):
			a.IPv6Gateway = netip.MustParseAddr(word)
		case kind == "via":
			a.IPv4Gateway = netip.MustParseAddr(word)
		case strings.Contains(word, ":"):
			a.IPv6Address = netip.MustParsePrefix(word)
		default:
			a.IPv4Address = netip.MustParsePrefix(word)
		}
	}
	return a
}

func routesText(routes []resource.Route) string {
	var words []string
	for _, r := range routes {
		word := r.Destination.String()
		if r.Gateway.IsValid() {
			word += "=" + r.Gateway.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestPlanRoutes(t *testing.T) {
	t.Parallel()
	const (
		web = "10.1.0.2/24 fd01::2/64 via 10.1.0.1 fd01::1"
		db  = "10.2.0.2/24 fd02::2/64 via 10.2.0.1 fd02::1"
	)
	type routes struct{ Main, Own string }
	own := map[string]string{
		web: "10.1.0.0/24 0.0.0.0/0=10.1.0.1 fe80::/64 fd01::/64 ::/0=fd01::1",
		db:  "10.2.0.0/24 0.0.0.0/0=10.2.0.1 fe80::/64 fd02::/64 ::/0=fd02::1",
	}
	for name, tc := range map[string]struct {
		asked []string
		want  []routes
	}{
		"one network has no table of its own": {
			asked: []string{web}, want: []routes{{Main: "0.0.0.0/0=10.1.0.1 ::/0=fd01::1"}},
		},
		"of equal ones the first has the default route": {
			asked: []string{web, db}, want: []routes{{"0.0.0.0/0=10.1.0.1 ::/0=fd01::1", own[web]}, {"", own[db]}},
		},
		"the highest priority has it": {
			asked: []string{web, db + " priority 2"}, want: []routes{{"", own[web]}, {"0.0.0.0/0=10.2.0.1 ::/0=fd02::1", own[db]}},
		},
		"a priority below zero": {
			asked: []string{web + " priority -1", db}, want: []routes{{"", own[web]}, {"0.0.0.0/0=10.2.0.1 ::/0=fd02::1", own[db]}},
		},
		"a priority without gateway takes nothing": {
			asked: []string{"10.3.0.2/24 priority 9", "10.1.0.2/24 via 10.1.0.1"},
			want:  []routes{{"", "10.3.0.0/24"}, {"0.0.0.0/0=10.1.0.1", "10.1.0.0/24 0.0.0.0/0=10.1.0.1"}},
		},
		"each family by itself": {
			asked: []string{"10.3.0.2/24 fd03::2/64 via 10.3.0.1", web},
			want: []routes{
				{"0.0.0.0/0=10.3.0.1", "10.3.0.0/24 0.0.0.0/0=10.3.0.1 fe80::/64 fd03::/64"},
				{"::/0=fd01::1", own[web]},
			},
		},
		"a table only where a family is there twice": {
			asked: []string{web, "10.3.0.2/24", ""},
			want: []routes{
				{"0.0.0.0/0=10.1.0.1 ::/0=fd01::1", "10.1.0.0/24 0.0.0.0/0=10.1.0.1"}, {"", "10.3.0.0/24"}, {},
			},
		},
		"routes of a network are in both tables": {
			asked: []string{web + " to 192.0.2.0/24=10.1.0.9 198.51.100.0/24", db},
			want: []routes{
				{
					"192.0.2.0/24=10.1.0.9 198.51.100.0/24 0.0.0.0/0=10.1.0.1 ::/0=fd01::1",
					"10.1.0.0/24 192.0.2.0/24=10.1.0.9 198.51.100.0/24 0.0.0.0/0=10.1.0.1 fe80::/64 fd01::/64 ::/0=fd01::1",
				},
				{"", own[db]},
			},
		},
		"a destination of two networks is that of the highest priority": {
			asked: []string{"10.1.0.2/24 to 192.0.2.0/24=10.1.0.9", "10.2.0.2/24 to 192.0.2.7/24=10.2.0.9 priority 1"},
			want: []routes{
				{"", "10.1.0.0/24 192.0.2.0/24=10.1.0.9"},
				{"192.0.2.0/24=10.2.0.9", "10.2.0.0/24 192.0.2.0/24=10.2.0.9"},
			},
		},
		"a route to an attached subnet is that subnet": {
			asked: []string{"10.1.0.2/24 to 10.2.0.0/24=10.1.0.9 10.1.0.0/24=10.1.0.9", "10.2.0.2/24"},
			want:  []routes{{"", "10.1.0.0/24 10.2.0.0/24=10.1.0.9"}, {"", "10.2.0.0/24"}},
		},
		"one network twice": {
			asked: []string{"10.1.0.2/24 via 10.1.0.1", "10.1.0.3/24 via 10.1.0.1"},
			want:  []routes{{"0.0.0.0/0=10.1.0.1", "10.1.0.0/24 0.0.0.0/0=10.1.0.1"}, {"", "10.1.0.0/24 0.0.0.0/0=10.1.0.1"}},
		},
		"a default route of the network comes before its gateway": {
			asked: []string{"10.1.0.2/24 via 10.1.0.1 to 0.0.0.0/0=10.1.0.9"}, want: []routes{{Main: "0.0.0.0/0=10.1.0.9"}},
		},
		"an address without subnet": {
			asked: []string{"10.1.0.2/32", "10.2.0.2/24"}, want: []routes{{}, {"", "10.2.0.0/24"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in []resource.AllocatedAttachment
			for _, words := range tc.asked {
				in = append(in, resource.AllocatedAttachment{Attachment: asked(t, words), Strategy: "describe"})
			}
			plans, _, err := Plan(in, map[string]Strategy{"describe": describe{}})
			if err != nil {
				t.Fatal(err)
			}
			var got []routes
			for _, p := range plans {
				got = append(got, routes{routesText(p.Routes), routesText(p.OwnRoutes)})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
		})
	}
}
