package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// routeText is a route as ip-route(8) shows it, without its table.
func routeText(r Route) string {
	words := []string{r.Destination.String()}
	if r.Destination.Bits() == 0 {
		words[0] = "default"
	}
	if r.Gateway.IsValid() {
		words = append(words, "via", r.Gateway.String())
	}
	return strings.Join(append(words, "dev", r.Interface), " ")
}

func whyRule(r Route) string {
	if r.Table == "main" {
		return "no earlier rule speaks of this source address, so the main table decides"
	}
	return fmt.Sprintf("all from that address goes by the own table of %s, so that answers leave where questions come in", r.Interface)
}

// whyRoute says why this network leads to the destination and not another one.
func (x Explainer) whyRoute(r Route) string {
	place := x.place(r.Interface)
	if place < 0 {
		return "somebody made it in the container"
	}
	own := x.Attachments[place].Attachment
	if !r.Gateway.IsValid() && (own.IPv4Address.Masked() == r.Destination || own.IPv6Address.Masked() == r.Destination) {
		return "the subnet of network " + own.Network
	}
	var others []string
	leads := false
	ties := true
	for i, a := range x.Attachments {
		if !leadsTo(a.Attachment, r.Destination) {
			continue
		}
		if i == place {
			leads = true
			continue
		}
		ties = ties && a.Attachment.GatewayPriority == own.GatewayPriority
		others = append(others, fmt.Sprintf("%s (%d)", label(a.Attachment), a.Attachment.GatewayPriority))
	}
	what := "route"
	if r.Destination.Bits() == 0 {
		what = "gateway"
	}
	switch {
	case !leads:
		return "somebody made it in the container"
	case len(others) == 0:
		return fmt.Sprintf("network %s alone has a %s for it", own.Network, what)
	case ties:
		return fmt.Sprintf("network %s is the first of those with a %s for it; gateway priority %d, as %s", own.Network, what, own.GatewayPriority, strings.Join(others, ", "))
	}
	return fmt.Sprintf("network %s has the highest gateway priority, %d, of those with a %s for it; others: %s", own.Network, own.GatewayPriority, what, strings.Join(others, ", "))
}

// label names an attachment so that one network twice can be told apart.
func label(a resource.Attachment) string { return a.Network + " by " + a.InterfaceName }

// leadsTo reports whether an attachment brings a route with that destination.
func leadsTo(a resource.Attachment, destination netip.Prefix) bool {
	if slices.ContainsFunc(a.Routes, func(r resource.Route) bool { return r.Destination == destination }) {
		return true
	}
	gateway := a.IPv6Gateway
	if destination.Addr().Is4() {
		gateway = a.IPv4Gateway
	}
	return destination.Bits() == 0 && gateway.IsValid()
}

// whyNoDefault says why nothing leads anywhere.
func (x Explainer) whyNoDefault(destination netip.Addr) string {
	family := "ipv6"
	if destination.Is4() {
		family = "ipv4"
	}
	all := netip.PrefixFrom(destination, 0).Masked()
	for _, a := range x.Attachments {
		if leadsTo(a.Attachment, all) {
			return fmt.Sprintf("the default route by network %s is not there any more", a.Attachment.Network)
		}
	}
	if len(x.Attachments) == 0 {
		return "the container is on no network"
	}
	return fmt.Sprintf("none of its networks has an %s gateway", family)
}

func (x Explainer) whyLocal(destination netip.Addr) string {
	for _, a := range x.Attachments {
		if at := a.Attachment; at.IPv4Address.Addr() == destination || at.IPv6Address.Addr() == destination {
			return fmt.Sprintf("the container's own address of %s on network %s", at.InterfaceName, at.Network)
		}
	}
	return "an address of the container itself"
}

func (x Explainer) explainInterface(name string) resource.Explained {
	place := x.place(name)
	if place < 0 {
		return resource.Explained{Answer: name, Why: "the route's"}
	}
	if len(x.Attachments) == 1 {
		return resource.Explained{Answer: name, Why: "the container's only one"}
	}
	return resource.Explained{Answer: name, Why: fmt.Sprintf("number %d of %d in the order of the networks", place+1, len(x.Attachments))}
}

func explainGateway(a resource.Attachment, r Route) resource.Explained {
	switch {
	case !r.Gateway.IsValid():
		return resource.Explained{Answer: "none", Why: "the destination is on the network itself"}
	case r.Gateway == a.IPv4Gateway || r.Gateway == a.IPv6Gateway:
		return resource.Explained{Answer: r.Gateway.String(), Why: "the gateway of network " + a.Network}
	}
	return resource.Explained{Answer: r.Gateway.String(), Why: fmt.Sprintf("named by a route to %v of network %s", r.Destination, a.Network)}
}

func explainNetwork(a resource.AllocatedAttachment) resource.Explained {
	return resource.Explained{Answer: a.Attachment.Network, Why: a.Attachment.InterfaceName + " is plugged into it"}
}

func explainPlugin(a resource.AllocatedAttachment) resource.Explained {
	return resource.Explained{Answer: a.Plugin.String(), Why: "serves network " + a.Attachment.Network}
}

// firstLine is the text of an error for a place that shows one line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(wire.Text(err), "\n")
	return line
}
