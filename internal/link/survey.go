package link

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Survey is what a network that is to be made has to know of its host.
type Survey struct {
	Prefixes []netip.Prefix // of Uses, each at least once; what has them is not looked up
	Uplink   Interface      // as DefaultRouteInterface; zero: none
}

// Survey looks at the host once for all of it: its addresses and routes are as many as
// there are networks. Prefixes of one interface are left out, as by Uses.
func (h *Handle) Survey(except string) (Survey, error) {
	routes, err := h.mainRoutes()
	if err != nil {
		return Survey{}, err
	}
	uplink, err := h.uplink(routes)
	if err != nil && !errdefs.IsNotFound(err) {
		return Survey{}, err
	}
	addresses, err := h.allAddresses()
	if err != nil {
		return Survey{}, err
	}
	index := 0
	if except != "" {
		own, err := h.Interface(except)
		if err != nil && !errdefs.IsNotFound(err) {
			return Survey{}, err
		}
		index = own.Index
	}
	out := make([]netip.Prefix, 0, len(addresses)+len(routes))
	for _, l := range slices.Concat(addresses, routes) {
		a := l.Prefix.Addr()
		inNobodysWay := l.Default() || a.IsLinkLocalUnicast() || a.IsMulticast()
		if !inNobodysWay && (index == 0 || l.Index != index) {
			out = append(out, l.Prefix.Masked())
		}
	}
	return Survey{Prefixes: out, Uplink: uplink}, nil
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

func (h *Handle) allAddresses() ([]rtnl.Listed, error) {
	addresses, err := retried(func() ([]rtnl.Listed, error) { return h.raw.Addresses(0) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addresses, nil
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
	l, err := query(h, func(s *netlink.Handle) (netlink.Link, error) { return s.LinkByIndex(index) })
	if err != nil {
		return Interface{}, fmt.Errorf("default route: interface %d: %w", index, err)
	}
	return describe(l), nil
}
