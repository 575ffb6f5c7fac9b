package hostdevice

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The options of a network.
const (
	optionDevice   = "device"     // host interface
	optionGateway4 = "gateway"    // router beyond it; default: none
	optionGateway6 = "gateway-v6" // the same for IPv6
)

// choose returns the given subnets and what goes with them. There are none by
// default: what is beyond the interface is not known here.
func choose(links *link.Handle, d device, c networkplugin.Configuration) (networkplugin.Realization, error) {
	var r networkplugin.Realization
	// One that the host has on the interface may be given.
	host, err := links.Survey(d.Name)
	if err != nil {
		return r, err
	}
	c.IPv4Disabled = c.IPv4Disabled || !c.IPv4Subnet.IsValid()
	c.IPv6Disabled = c.IPv6Disabled || !c.IPv6Subnet.IsValid()
	r.IPv4Subnet, r.IPv6Subnet, err = networkplugin.ChooseSubnets(c, host.Prefixes)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	var mtuErr, err4, err6 error
	r.MTU, mtuErr = mtuOf(d, c.MTU, r.IPv6Subnet.IsValid())
	r.IPv4Gateway, err4 = gatewayOf(c.Options, optionGateway4, r.IPv4Subnet)
	r.IPv6Gateway, err6 = gatewayOf(c.Options, optionGateway6, r.IPv6Subnet)
	if err := errors.Join(mtuErr, err4, err6); err != nil {
		return networkplugin.Realization{}, err
	}
	return r, nil
}

// gatewayOf reads a gateway option.
func gatewayOf(options map[string]string, option string, subnet netip.Prefix) (netip.Addr, error) {
	text, given := options[option]
	if !given {
		return netip.Addr{}, nil
	}
	if !subnet.IsValid() {
		return netip.Addr{}, fmt.Errorf("option %s=%q: the network has no subnet of that family, give one: %w", option, text, errdefs.ErrInvalidArgument)
	}
	gateway, err := netip.ParseAddr(text)
	if err != nil || gateway.Zone() != "" || !subnet.Contains(gateway) {
		return netip.Addr{}, fmt.Errorf("option %s=%q: want an address in the subnet %v: %w", option, text, subnet, errdefs.ErrInvalidArgument)
	}
	return gateway, nil
}

// mtuOf returns the given MTU, which may not be more than the interface has, or
// that of the interface.
func mtuOf(d device, given int, v6 bool) (int, error) {
	least, most := resource.MinMTU, min(d.MTU, resource.MaxMTU)
	if v6 {
		least = resource.MinMTUIPv6
	}
	switch {
	case most < least:
		return 0, fmt.Errorf("device %s: has mtu %d, want at least %d: %w", d.Name, d.MTU, least, errdefs.ErrFailedPrecondition)
	case given == 0:
		return most, nil
	case given < least || given > most:
		return 0, fmt.Errorf("mtu %d: want %d to %d, the mtu of device %s: %w", given, least, most, d.Name, errdefs.ErrInvalidArgument)
	}
	return given, nil
}
