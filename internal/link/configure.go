package link

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// Configure sets an interface up and gives it addresses and routes, the
// routes in their order. IPv6 addresses can be used when it returns: no
// duplicate address detection runs for them, their network has seen to it.
// Routes with a destination of length 0 are default routes. The addresses are
// announced, so that neighbours forget whom they belonged to before; router
// advertisements are not listened to. The sysctls override what an interface of
// a sandbox has otherwise.
func (h *Handle) Configure(name string, addresses []netip.Prefix, routes []resource.Route, sysctls ...sysctl.Interface) error {
	l, err := h.byName(name)
	if err != nil {
		return err
	}
	if err := h.Inside(func() error { return sysctl.Prepare(name, sysctls) }); err != nil {
		return err
	}
	settling, err := rtnl.WatchSettling(h.at(), addresses)
	if err != nil {
		return err
	}
	defer settling.Close()
	if err := h.configure(l, addresses, routes); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := settling.Wait(); err != nil {
		return err
	}
	return h.raw.Do(rtnl.Optional(rtnl.Announce(l.Attrs().Index, l.Attrs().HardwareAddr)))
}

func (h *Handle) configure(l netlink.Link, addresses []netip.Prefix, routes []resource.Route) error {
	index := l.Attrs().Index
	steps := []rtnl.Step{{Request: rtnl.Flags(index, true), What: "set up"}}
	for _, a := range addresses {
		steps = append(steps, rtnl.Step{Request: rtnl.Address(unix.RTM_NEWADDR, index, a), What: fmt.Sprintf("address %s", a)})
	}
	for _, r := range routes {
		steps = append(steps, rtnl.Step{Request: rtnl.Route(index, r), What: fmt.Sprintf("route to %s", r.Destination)})
	}
	return h.raw.Run(steps)
}
