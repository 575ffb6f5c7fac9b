package link

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

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
	// Familiar says that no neighbour knows the addresses with another MAC address.
	Familiar bool
	// Born says that the interface was made in its namespace, which sysctl.PrepareNamespace has
	// prepared: it has the settings of a sandbox's interfaces, but for those of one that announces.
	Born bool
}

// ready reports whether the interface has all its settings.
func (c Configuration) ready() bool { return c.Born && c.Familiar && len(c.Sysctls) == 0 }

// Configure sets an interface up and gives it addresses and routes: Rewire for one.
func (h *Handle) Configure(name string, addresses []netip.Prefix, routes []resource.Route, sysctls ...sysctl.Interface) error {
	return h.Rewire([]Configuration{{Interface: name, Addresses: addresses, Routes: routes, Sysctls: sysctls}}, nil)
}

// Rewire sets new interfaces up, gives them addresses and routes, in their order, and then
// changes the routing of these and others as Reroute does.
// IPv6 addresses can be used when it returns: no
// duplicate address detection runs for them, their network has seen to it. Addresses that are not
// familiar are announced, so that neighbours forget whom they belonged to before; router
// advertisements are not listened to. After an error a part of it may have been done.
func (h *Handle) Rewire(added []Configuration, changes []routing.Change) error {
	var addresses []netip.Prefix
	var steps []rtnl.Step
	var announcements []*nl.NetlinkRequest
	answering, err := h.prepare(added, changes)
	if err != nil {
		return err
	}
	for _, c := range added {
		index, mac, err := h.identify(c)
		if err != nil {
			return err
		}
		steps = append(steps, c.steps(index, answering[c.Interface])...)
		if !c.Familiar {
			announcements = append(announcements, rtnl.Optional(rtnl.Announce(index, mac)))
		}
		addresses = append(addresses, c.Addresses...)
	}
	routes, err := h.routingSteps(changes)
	if err != nil {
		return err
	}
	if err := h.raw.RunSettled(append(steps, routes...), addresses); err != nil {
		return err
	}
	if len(announcements) == 0 {
		return nil
	}
	return h.raw.Do(announcements...)
}

// identify returns the index of an interface and its MAC address.
func (h *Handle) identify(c Configuration) (int, net.HardwareAddr, error) {
	if mac := c.MAC.HardwareAddr(); mac != nil {
		index, err := h.Index(c.Interface)
		return index, mac, err
	}
	i, err := h.Interface(c.Interface)
	if err != nil {
		return 0, nil, err
	}
	return i.Index, i.MAC.HardwareAddr(), nil
}

// prepare makes the settings of interfaces. It returns those that an interface is yet to get,
// by its name, and then by their numbers.
func (h *Handle) prepare(added []Configuration, changes []routing.Change) (map[string]map[int]uint32, error) {
	unready := slices.DeleteFunc(slices.Clone(added), Configuration.ready)
	answering := slices.DeleteFunc(slices.Clone(changes), func(c routing.Change) bool { return !c.BeginsToAnswer() })
	if len(unready)+len(answering) == 0 {
		return nil, nil
	}
	left := map[string]map[int]uint32{}
	err := h.Inside(func() error {
		for _, c := range unready {
			if err := sysctl.Prepare(c.Interface, !c.Familiar, c.Sysctls); err != nil {
				return err
			}
		}
		var born map[int]uint32
		for _, c := range answering {
			if !slices.ContainsFunc(added, func(a Configuration) bool { return a.Interface == c.Interface && a.ready() }) {
				if err := sysctl.AnswerForItself(c.Interface); err != nil {
					return err
				}
				continue
			}
			if born == nil {
				born = sysctl.BornToAnswerForItself()
			}
			left[c.Interface] = born
		}
		return nil
	})
	return left, err
}

// steps are those of a new interface, which gets the settings of IPv4 too.
func (c Configuration) steps(index int, settings map[int]uint32) []rtnl.Step {
	what := func(format string, of ...any) func() string {
		return func() string { return fmt.Sprintf("interface %s: "+format, slices.Insert(of, 0, any(c.Interface))...) }
	}
	steps := make([]rtnl.Step, 0, 1+len(c.Addresses)+len(c.Routes))
	steps = append(steps, rtnl.Step{Request: rtnl.IPv4Settings(rtnl.Flags(index, true), settings), What: what("set up")})
	for _, a := range c.Addresses {
		steps = append(steps, rtnl.Step{Request: rtnl.Address(unix.RTM_NEWADDR, index, a), What: what("address %s", a)})
	}
	for _, r := range c.Routes {
		steps = append(steps, rtnl.Step{Request: rtnl.Route(index, r), What: what("route to %s", r.Destination)})
	}
	return steps
}
