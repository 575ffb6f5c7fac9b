package hostdevice

import (
	"patchbay.dev/patchbay/internal/hostinterface"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/networkplugin"
)

// optionDevice is the option of the host interface.
const optionDevice = "device"

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
	medium := hostinterface.Medium{Role: "device", Name: d.Name, MTU: d.MTU}
	if err := medium.Complete(&r, c); err != nil {
		return networkplugin.Realization{}, err
	}
	return r, nil
}
