// Package explain says which way the packets of a container take to a
// destination, and why: what the kernel answers inside the sandbox, what the
// networks' plugins say, and what the plan had to choose between.
package explain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Route is what the kernel does with a packet.
type Route struct {
	Interface   string
	Destination netip.Prefix // of the route that matched
	Gateway     netip.Addr   // zero: on link
	Source      netip.Addr
	Local       bool   // stays in the sandbox
	Table       string // name or number
	Rule        string // that led to the table
}

// Kernel answers for the sandbox's network.
type Kernel interface {
	// RouteTo returns the route of a packet; source is zero for one that has no
	// address yet. errdefs.ErrNotFound with the reason where none leads there.
	RouteTo(destination, source netip.Addr) (Route, error)
}

// Plugins asks the plugins of networks.
type Plugins interface {
	// Lookup returns the attachments that have a name; none is no error.
	Lookup(ctx context.Context, lease resource.LeaseReference, name string) ([]resource.Attachment, error)
	// Verdict says what becomes of a packet; errdefs.ErrNotImplemented when the
	// plugin does not tell.
	Verdict(ctx context.Context, lease resource.LeaseReference, destination netip.Addr) (resource.Explained, error)
}

// Explainer explains for one sandbox.
type Explainer struct {
	Attachments []resource.AllocatedAttachment // as planned, in order
	Kernel      Kernel
	Plugins     Plugins
}

// internet are addresses far away, to ask for the way there: those of
// a.root-servers.net. Nothing is sent to them.
var internet = []netip.Addr{netip.MustParseAddr("198.41.0.4"), netip.MustParseAddr("2001:503:ba3e::2:30")}

// Explain explains the way to an address, to each address of a name, or, for
// an empty target, to each network and the internet. A name that no network
// knows is errdefs.ErrNotFound, with what each of them says.
func (x Explainer) Explain(ctx context.Context, target string) ([]resource.Explanation, error) {
	if target == "" {
		return x.everywhere(ctx)
	}
	address, err := netip.ParseAddr(target)
	if err != nil {
		return x.name(ctx, target)
	}
	address = address.Unmap()
	if address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() || address.IsLinkLocalUnicast() {
		return nil, fmt.Errorf("address %v: want a unicast address that is valid beyond one link: %w", address, errdefs.ErrInvalidArgument)
	}
	e, err := x.address(ctx, address)
	e.Target = target
	return []resource.Explanation{e}, err
}

// everywhere explains the way to each network, by the first family that it
// has, and to the internet by both.
func (x Explainer) everywhere(ctx context.Context) ([]resource.Explanation, error) {
	var out []resource.Explanation
	var errs []error
	add := func(target string, address netip.Addr) {
		e, err := x.address(ctx, address)
		e.Target = target
		out, errs = append(out, e), append(errs, err)
	}
	none := len(x.Attachments) == 0
	families := map[bool]bool{true: none, false: none} // by Is4
	seen := map[string]bool{}
	for _, a := range x.Attachments {
		families[true] = families[true] || a.Attachment.IPv4Address.IsValid()
		families[false] = families[false] || a.Attachment.IPv6Address.IsValid()
		if seen[a.Attachment.NetworkID] {
			continue
		}
		seen[a.Attachment.NetworkID] = true
		target := "network " + a.Attachment.Network
		if neighbour := neighbourOn(a.Attachment); neighbour.IsValid() {
			add(target, neighbour)
			continue
		}
		out = append(out, resource.Explanation{
			Target:    target,
			Route:     resource.Explained{Answer: "unknown", Why: "the network gives no addresses: what is on " + a.Attachment.InterfaceName + " is the container's own matter"},
			Interface: x.explainInterface(a.Attachment.InterfaceName),
			Network:   explainNetwork(a),
			Plugin:    explainPlugin(a),
		})
	}
	for _, address := range internet {
		if families[address.Is4()] {
			add("internet", address)
		}
	}
	return out, errors.Join(errs...)
}

// neighbourOn is an address that the network's subnet has beside the
// attachment's: the gateway's, else the first.
func neighbourOn(a resource.Attachment) netip.Addr {
	for _, n := range []struct {
		address netip.Prefix
		gateway netip.Addr
	}{{a.IPv4Address, a.IPv4Gateway}, {a.IPv6Address, a.IPv6Gateway}} {
		if n.gateway.IsValid() {
			return n.gateway
		}
		if !n.address.IsValid() {
			continue
		}
		first := n.address.Masked().Addr().Next()
		if first == n.address.Addr() {
			first = first.Next()
		}
		if n.address.Contains(first) {
			return first
		}
	}
	return netip.Addr{}
}

// address explains the way to one address. The kernel is asked as a program
// makes it do: first for an interface and source, then, with the source known,
// for the route that packets take from then on.
func (x Explainer) address(ctx context.Context, destination netip.Addr) (resource.Explanation, error) {
	e := resource.Explanation{Address: destination}
	first, err := x.Kernel.RouteTo(destination, netip.Addr{})
	if errdefs.IsNotFound(err) {
		e.Route = resource.Explained{Answer: "none", Why: firstLine(err) + "; " + x.whyNoDefault(destination)}
		return e, nil
	}
	if err != nil {
		return e, err
	}
	if first.Local {
		e.Route = resource.Explained{Answer: "local", Why: x.whyLocal(destination)}
		return e, nil
	}
	e.Source = resource.Explained{
		Answer: first.Source.String(),
		Why:    fmt.Sprintf("the address of %s, by which table %s leads there (%s)", first.Interface, first.Table, routeText(first)),
	}
	second, err := x.Kernel.RouteTo(destination, first.Source)
	if errdefs.IsNotFound(err) {
		e.Route = resource.Explained{Answer: "none", Why: fmt.Sprintf("from %v: %s", first.Source, firstLine(err))}
		return e, nil
	}
	if err != nil {
		return e, err
	}
	x.way(ctx, &e, second)
	return e, nil
}

// way explains a route, the interface that it leads to, and what is behind.
func (x Explainer) way(ctx context.Context, e *resource.Explanation, r Route) {
	if r.Rule != "" {
		e.Rule = resource.Explained{Answer: r.Rule, Why: whyRule(r)}
	}
	e.Route = resource.Explained{Answer: routeText(r) + " table " + r.Table, Why: x.whyRoute(r)}
	e.Interface = x.explainInterface(r.Interface)
	place := x.place(r.Interface)
	if place < 0 {
		e.Network = resource.Explained{Answer: "none", Why: r.Interface + " is not Patchbay's"}
		return
	}
	a := x.Attachments[place]
	e.Gateway = explainGateway(a.Attachment, r)
	e.Network, e.Plugin = explainNetwork(a), explainPlugin(a)
	e.Firewall = x.verdict(ctx, a, e.Address)
}

func (x Explainer) verdict(ctx context.Context, a resource.AllocatedAttachment, destination netip.Addr) resource.Explained {
	verdict, err := x.Plugins.Verdict(ctx, a.Lease, destination)
	switch {
	case errdefs.IsNotImplemented(err):
		return resource.Explained{Answer: "unknown", Why: fmt.Sprintf("plugin %s does not say what it lets through", a.Plugin.Plugin)}
	case err != nil:
		return resource.Explained{Answer: "unknown", Why: fmt.Sprintf("plugin %s does not answer: %s", a.Plugin.Plugin, firstLine(err))}
	}
	return verdict
}

// place is that of the attachment with the interface, -1 for none.
func (x Explainer) place(name string) int {
	return slices.IndexFunc(x.Attachments, func(a resource.AllocatedAttachment) bool { return a.Attachment.InterfaceName == name })
}
