package link

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/routing"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// Configuration is what an interface of a sandbox gets.
type Configuration struct {
	Interface string
	MAC       resource.MACAddress // that it has; empty: the kernel is asked
	Addresses []netip.Prefix
	Routes    []resource.Route // in their order; a destination of length 0 is the default route
	// Sysctls override what an interface of a sandbox has otherwise.
	Sysctls []sysctl.Interface
}

// Configure sets an interface up and gives it addresses and routes: Rewire for one.
func (h *Handle) Configure(name string, addresses []netip.Prefix, routes []resource.Route, sysctls ...sysctl.Interface) error {
	return h.Rewire([]Configuration{{Interface: name, Addresses: addresses, Routes: routes, Sysctls: sysctls}}, nil)
}

// Rewire sets new interfaces up, gives them addresses and routes, in their order, and then
// changes the routing of these and others as Reroute does.
// IPv6 addresses can be used when it returns: no
// duplicate address detection runs for them, their network has seen to it. The addresses are
// announced, so that neighbours forget whom they belonged to before; router
// advertisements are not listened to. After an error a part of it may have been done.
func (h *Handle) Rewire(added []Configuration, changes []routing.Change) error {
	var addresses []netip.Prefix
	var steps []rtnl.Step
	var announcements []*nl.NetlinkRequest
	for _, c := range added {
		index, mac, err := h.identify(c)
		if err != nil {
			return err
		}
		steps = append(steps, c.steps(index)...)
		announcements = append(announcements, rtnl.Optional(rtnl.Announce(index, mac)))
		addresses = append(addresses, c.Addresses...)
	}
	routes, err := h.routingSteps(changes)
	if err != nil {
		return err
	}
	if err := h.prepare(added, changes); err != nil {
		return err
	}
	if err := h.raw.RunSettled(append(steps, routes...), addresses); err != nil {
		return err
	}
	return h.raw.Do(announcements...)
}

// identify returns the index of an interface and its MAC address.
func (h *Handle) identify(c Configuration) (int, net.HardwareAddr, error) {
	if mac := c.MAC.HardwareAddr(); mac != nil {
		index, err := h.Index(c.Interface)
		return index, mac, err
	}
	l, err := h.byName(c.Interface)
	if err != nil {
		return 0, nil, err
	}
	return l.Attrs().Index, l.Attrs().HardwareAddr, nil
}

// prepare makes the settings of interfaces.
func (h *Handle) prepare(added []Configuration, changes []routing.Change) error {
	if len(added)+len(changes) == 0 {
		return nil
	}
	return h.Inside(func() error {
		for _, c := range added {
			if err := sysctl.Prepare(c.Interface, c.Sysctls); err != nil {
				return err
			}
		}
		for _, c := range changes {
			if !c.BeginsToAnswer() {
				continue
			}
			if err := sysctl.AnswerForItself(c.Interface); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c Configuration) steps(index int) []rtnl.Step {
	what := func(format string, of any) string { return fmt.Sprintf("interface %s: "+format, c.Interface, of) }
	steps := []rtnl.Step{{Request: rtnl.Flags(index, true), What: fmt.Sprintf("interface %s: set up", c.Interface)}}
	for _, a := range c.Addresses {
		steps = append(steps, rtnl.Step{Request: rtnl.Address(unix.RTM_NEWADDR, index, a), What: what("address %s", a)})
	}
	for _, r := range c.Routes {
		steps = append(steps, rtnl.Step{Request: rtnl.Route(index, r), What: what("route to %s", r.Destination)})
	}
	return steps
}
