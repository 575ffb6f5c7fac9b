package bridge

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The options of a network.
const (
	optionIPv4 = "ipv4" // turns an address family on or off
	optionIPv6 = "ipv6"
	// optionHostAccess says what containers reach of the host itself.
	optionHostAccess = "host-access"
	// optionFastPath says whether packets between containers may pass the bridge by.
	optionFastPath = "fast-path"
)

const defaultMTU = 1500

// maxPorts is how many ports the kernel lets a bridge have: their numbers are 1 to
// BR_MAX_PORTS - 1 (net/bridge/br_private.h).
const maxPorts = 1023

// families are the address families that a network has.
type families struct{ v4, v6 bool }

// familiesOf reads the options. A family is on unless it is turned off or the
// kernel lacks it.
func familiesOf(c networkplugin.Configuration) (families, error) {
	v4, err4 := onOff(c.Options, optionIPv4)
	v6, err6 := onOff(c.Options, optionIPv6)
	err := errors.Join(err4, err6)
	v4, v6 = v4 && !c.IPv4Disabled, v6 && !c.IPv6Disabled
	if !v4 && c.IPv4Subnet.IsValid() {
		err = errors.Join(err, fmt.Errorf("subnet %v: ipv4 is off: %w", c.IPv4Subnet, errdefs.ErrInvalidArgument))
	}
	if !v6 && c.IPv6Subnet.IsValid() {
		err = errors.Join(err, fmt.Errorf("subnet %v: ipv6 is off: %w", c.IPv6Subnet, errdefs.ErrInvalidArgument))
	}
	if !v4 && !v6 {
		err = errors.Join(err, fmt.Errorf("ipv4 and ipv6: both are off, want at least one on: %w", errdefs.ErrInvalidArgument))
	}
	return families{v4: v4, v6: v6}, err
}

func onOff(options map[string]string, key string) (bool, error) {
	switch value, given := options[key]; {
	case !given, value == "on":
		return true, nil
	case value == "off":
		return false, nil
	default:
		return true, fmt.Errorf("option %s=%q: want on or off: %w", key, value, errdefs.ErrInvalidArgument)
	}
}

// hostAccessOf reads the option; without it, none of the host's services is
// reached.
func hostAccessOf(options map[string]string) (firewall.HostAccess, error) {
	switch value, given := options[optionHostAccess]; {
	case !given, value == "none":
		return firewall.HostNone, nil
	case value == "gateway":
		return firewall.HostGateway, nil
	case value == "all":
		return firewall.HostAll, nil
	default:
		return firewall.HostNone, fmt.Errorf("option %s=%q: want none, gateway or all: %w", optionHostAccess, value, errdefs.ErrInvalidArgument)
	}
}

// chooseWatched is choose, and keeps a lookout for Warn where the network is new: what comes
// to overlap its subnets after the choice is told of, though nobody looks a second time.
func (n *Network) chooseWatched(links *link.Handle, c networkplugin.Configuration) (networkplugin.Realization, error) {
	if !isNew(c) {
		return n.choose(links, c)
	}
	if r, ok := n.claim(links, c); ok {
		return r, nil
	}
	lookout, err := overlaps.LookOut(links, n.listener)
	if err != nil { // then Warn says so
		return n.choose(links, c)
	}
	r, err := n.choose(links, c)
	if err == nil {
		err = lookout.Narrow(links, subnetsOf(n.specOf(r)))
	}
	if err != nil {
		lookout.Close()
		return networkplugin.Realization{}, err
	}
	n.keepLookout(lookout)
	return r, nil
}

// claim is chooseWatched where a listener knows that the subnets that come first are not used:
// all addresses and routes of the host, which are as many as there are networks, need not be
// looked at. Whatever stands in its way is for who looks.
func (n *Network) claim(links *link.Handle, c networkplugin.Configuration) (r networkplugin.Realization, ok bool) {
	on, err := supported(c)
	if err != nil {
		return networkplugin.Realization{}, false
	}
	if r, err = realize(on, c, nil); err != nil {
		return networkplugin.Realization{}, false
	}
	lookout, gateway, err := overlaps.Claim(links, n.listener, subnetsOf(n.specOf(r)))
	if err != nil {
		return networkplugin.Realization{}, false
	}
	var uplink inspect.Interface
	if c.MTU == 0 && gateway != 0 {
		uplink, err = links.Uplink(gateway)
	}
	if err == nil {
		r.MTU, err = mtuOf(uplink, c.MTU, on.v6)
	}
	if err != nil {
		lookout.Close()
		return networkplugin.Realization{}, false
	}
	n.keepLookout(lookout)
	return r, true
}

// choose returns the network with its router's addresses as gateways.
func (n *Network) choose(links *link.Handle, c networkplugin.Configuration) (networkplugin.Realization, error) {
	on, err := supported(c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	host, err := n.survey(links, c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := realize(on, c, host.Prefixes)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r.MTU, err = mtuOf(host.Uplink, c.MTU, on.v6)
	return r, err
}

// supported are the families that the network has on this kernel.
func supported(c networkplugin.Configuration) (families, error) {
	on, err := familiesOf(c)
	if err != nil || sysctl.HasIPv6() {
		return on, err
	}
	if c.IPv6Subnet.IsValid() || !on.v4 {
		return families{}, fmt.Errorf("ipv6: the kernel has none: %w", errdefs.ErrFailedPrecondition)
	}
	on.v6 = false
	return on, nil
}

// realize is a network, without its MTU, beside prefixes that the host uses.
func realize(on families, c networkplugin.Configuration, occupied []netip.Prefix) (networkplugin.Realization, error) {
	v4, v6, err := networkplugin.ChooseSubnets(c, occupied)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r := networkplugin.Realization{MaxPorts: maxPorts}
	if on.v4 {
		r.IPv4Subnet, r.IPv4Gateway = v4, firstAddress(v4)
	}
	if on.v6 {
		r.IPv6Subnet, r.IPv6Gateway = v6, firstAddress(v6)
	}
	return r, nil
}

// survey looks at the host. What it uses is of no matter to a network that is adopted, which
// cannot evade it any more: all of them are, one after the other, when patchbayd comes back.
func (n *Network) survey(links *link.Handle, c networkplugin.Configuration) (inspect.Survey, error) {
	if !c.Adopted {
		return links.Survey(n.bridge)
	}
	if c.MTU != 0 {
		return inspect.Survey{}, nil
	}
	uplink, err := links.DefaultRouteInterface()
	if err != nil && !errdefs.IsNotFound(err) {
		return inspect.Survey{}, err
	}
	return inspect.Survey{Uplink: uplink}, nil
}

// firstAddress is the first address that a host can have: the subnet's own
// belongs to no host but where there are only two (RFC 3021, RFC 6164).
func firstAddress(p netip.Prefix) netip.Addr {
	if p.Addr().BitLen()-p.Bits() <= 1 {
		return p.Masked().Addr()
	}
	return p.Masked().Addr().Next()
}

// mtuOf returns the given MTU, else that of the interface of the host's
// default route, if it has one, so that packets need not be cut on their way out.
func mtuOf(uplink inspect.Interface, given int, v6 bool) (int, error) {
	least := resource.MinMTU
	if v6 {
		least = resource.MinMTUIPv6
	}
	if given != 0 {
		if given < least || given > resource.MaxMTU {
			return 0, fmt.Errorf("mtu %d: want %d to %d: %w", given, least, resource.MaxMTU, errdefs.ErrInvalidArgument)
		}
		return given, nil
	}
	if uplink.Name == "" {
		return defaultMTU, nil
	}
	return min(max(uplink.MTU, least), resource.MaxMTU), nil
}

// specOf is the bridge of a network: the host has an address in each subnet.
func (n *Network) specOf(r networkplugin.Realization) link.BridgeSpec {
	s := link.BridgeSpec{Name: n.bridge, Alias: link.OwnerAlias(n.id), MAC: n.mac(), MTU: r.MTU}
	if r.IPv4Subnet.IsValid() {
		s.Addresses = append(s.Addresses, netip.PrefixFrom(r.IPv4Gateway, r.IPv4Subnet.Bits()))
	}
	if r.IPv6Subnet.IsValid() {
		s.Addresses = append(s.Addresses, netip.PrefixFrom(r.IPv6Gateway, r.IPv6Subnet.Bits()))
	}
	return s
}

func subnetsOf(s link.BridgeSpec) []netip.Prefix {
	var subnets []netip.Prefix
	for _, a := range s.Addresses {
		subnets = append(subnets, a.Masked())
	}
	return subnets
}

// reachable is the network as containers see it: an internal one has no
// gateway, though the host has its addresses there.
func (n *Network) reachable(r networkplugin.Realization) networkplugin.Realization {
	if n.reach != firewall.Internal {
		return r
	}
	for _, gateway := range []*netip.Addr{&r.IPv4Gateway, &r.IPv6Gateway} {
		if gateway.IsValid() {
			r.Reserved = append(r.Reserved, *gateway)
			*gateway = netip.Addr{}
		}
	}
	return r
}
