package link

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// Configuration is what an interface of a sandbox gets.
type Configuration struct {
	Interface string
	Addresses []netip.Prefix
	Routes    []resource.Route // in their order; a destination of length 0 is the default route
	// Sysctls override what an interface of a sandbox has otherwise.
	Sysctls []sysctl.Interface
}

// Configure sets an interface up and gives it addresses and routes: ConfigureAll for one.
func (h *Handle) Configure(name string, addresses []netip.Prefix, routes []resource.Route, sysctls ...sysctl.Interface) error {
	return h.ConfigureAll(Configuration{Interface: name, Addresses: addresses, Routes: routes, Sysctls: sysctls})
}

// ConfigureAll sets interfaces up and gives them addresses and routes, in their order.
// IPv6 addresses can be used when it returns: no
// duplicate address detection runs for them, their network has seen to it. The addresses are
// announced, so that neighbours forget whom they belonged to before; router
// advertisements are not listened to. After an error a part of it may have been done.
func (h *Handle) ConfigureAll(all ...Configuration) error {
	links := make([]netlink.Link, len(all))
	var addresses []netip.Prefix
	for i, c := range all {
		l, err := h.byName(c.Interface)
		if err != nil {
			return err
		}
		links[i] = l
		addresses = append(addresses, c.Addresses...)
	}
	err := h.Inside(func() error {
		for _, c := range all {
			if err := sysctl.Prepare(c.Interface, c.Sysctls); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	settling, err := rtnl.WatchSettling(h.at(), addresses)
	if err != nil {
		return err
	}
	defer settling.Close()
	var steps []rtnl.Step
	var announcements []*nl.NetlinkRequest
	for i, c := range all {
		attrs := links[i].Attrs()
		steps = append(steps, c.steps(attrs.Index)...)
		announcements = append(announcements, rtnl.Optional(rtnl.Announce(attrs.Index, attrs.HardwareAddr)))
	}
	if err := h.raw.Run(steps); err != nil {
		return err
	}
	if err := settling.Wait(); err != nil {
		return err
	}
	return h.raw.Do(announcements...)
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
