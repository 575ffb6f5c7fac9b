package link

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Survey is what a network that is to be made has to know of its host.
type Survey struct {
	Prefixes []netip.Prefix // as UsedPrefixes
	Uplink   Interface      // as DefaultRouteInterface; zero: none
}

// Survey looks at the host once for all that is in a Survey: its addresses and routes
// are as many as there are networks.
func (h *Handle) Survey(except string) (Survey, error) {
	routes, err := h.mainRoutes()
	if err != nil {
		return Survey{}, err
	}
	prefixes, err := h.usedPrefixes(except, routes)
	if err != nil {
		return Survey{}, err
	}
	uplink, err := h.uplink(routes)
	if err != nil && !errdefs.IsNotFound(err) {
		return Survey{}, err
	}
	return Survey{Prefixes: prefixes, Uplink: uplink}, nil
}

// UsedPrefixes returns the prefixes of Uses, each at least once; what has them is not
// looked up.
func (h *Handle) UsedPrefixes(except string) ([]netip.Prefix, error) {
	routes, err := h.mainRoutes()
	if err != nil {
		return nil, err
	}
	return h.usedPrefixes(except, routes)
}

func (h *Handle) usedPrefixes(except string, routes []rtnl.Listed) ([]netip.Prefix, error) {
	index := 0
	if except != "" {
		own, err := h.Interface(except)
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		index = own.Index
	}
	addresses, err := retried(func() ([]rtnl.Listed, error) { return h.raw.Addresses(0) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := make([]netip.Prefix, 0, len(addresses)+len(routes))
	for _, l := range slices.Concat(addresses, routes) {
		a := l.Prefix.Addr()
		inNobodysWay := l.Default() || a.IsLinkLocalUnicast() || a.IsMulticast()
		if !inNobodysWay && (index == 0 || l.Index != index) {
			out = append(out, l.Prefix.Masked())
		}
	}
	return out, nil
}

// DefaultRouteInterface returns the interface of the host's default route,
// that of IPv4 before that of IPv6, or errdefs.ErrNotFound.
func (h *Handle) DefaultRouteInterface() (Interface, error) {
	routes, err := h.mainRoutes()
	if err != nil {
		return Interface{}, err
	}
	return h.uplink(routes)
}

func (h *Handle) mainRoutes() ([]rtnl.Listed, error) {
	routes, err := retried(h.raw.MainRoutes)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// uplink is the interface of the first default route.
func (h *Handle) uplink(routes []rtnl.Listed) (Interface, error) {
	first := slices.IndexFunc(routes, rtnl.Listed.Default)
	if first < 0 {
		return Interface{}, fmt.Errorf("default route: there is none: %w", errdefs.ErrNotFound)
	}
	index := routes[first].Index
	if index == 0 {
		var err error
		if index, err = h.firstHop(); err != nil {
			return Interface{}, err
		}
	}
	l, err := retried(func() (netlink.Link, error) { return h.nl.LinkByIndex(index) })
	if err != nil {
		return Interface{}, fmt.Errorf("default route: interface %d: %w", index, err)
	}
	return describe(l), nil
}

// firstHop is the index of the first interface of default routes that have several.
func (h *Handle) firstHop() (int, error) {
	routes, err := h.routes(strconv.Itoa)
	if err != nil {
		return 0, err
	}
	for _, r := range routes {
		if index, err := strconv.Atoi(r.Interface); err == nil && r.Default() && index > 0 {
			return index, nil
		}
	}
	return 0, fmt.Errorf("default route: there is none: %w", errdefs.ErrNotFound)
}
