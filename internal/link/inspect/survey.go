package inspect

import (
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Survey is what a network that is to be made has to know of its host.
type Survey struct {
	Prefixes []netip.Prefix // of Uses, each at least once; what has them is not looked up
	Uplink   Interface      // as DefaultRouteInterface; zero: none
}

// Survey looks at the host once for all of it: its addresses and routes are as many as
// there are networks. Prefixes of one interface are left out, as by Uses.
func (r *Reader) Survey(except string) (Survey, error) {
	const few = 256 // as many as a host of some networks has
	out := Survey{Prefixes: make([]netip.Prefix, 0, few)}
	gateway, err := r.EachUsed(except, func(p netip.Prefix) { out.Prefixes = append(out.Prefixes, p) })
	if err != nil {
		return Survey{}, err
	}
	if out.Uplink, err = r.uplink(gateway); err != nil && !errdefs.IsNotFound(err) {
		return Survey{}, err
	}
	return out, nil
}

// EachUsed calls each with the prefixes of Survey, and returns the index of the interface
// of the first default route, 0 where there is none.
func (r *Reader) EachUsed(except string, each func(netip.Prefix)) (gateway int, err error) {
	index := 0
	if except != "" {
		if index, err = r.Index(except); err != nil && !errdefs.IsNotFound(err) {
			return 0, err
		}
	}
	take := func(l rtnl.Listed) {
		a := l.Prefix.Addr()
		inNobodysWay := l.Default() || a.IsLinkLocalUnicast() || a.IsMulticast()
		if !inNobodysWay && (index == 0 || l.Index != index) {
			each(l.Prefix.Masked())
		}
	}
	if err := again(func() error { return r.raw.EachAddress(0, take) }); err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	err = again(func() error {
		return r.raw.EachMainRoute(func(l rtnl.Listed) {
			if gateway == 0 && l.Default() {
				gateway = l.Index
			}
			take(l)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	return gateway, nil
}

// DefaultRouteInterface returns the interface of the host's default route,
// that of IPv4 before that of IPv6, or errdefs.ErrNotFound.
func (r *Reader) DefaultRouteInterface() (Interface, error) {
	gateway := 0
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := again(func() error {
			return r.raw.EachMainRouteOf(family, func(l rtnl.Listed) {
				if gateway == 0 && l.Default() {
					gateway = l.Index
				}
			})
		})
		if err != nil {
			return Interface{}, fmt.Errorf("list routes: %w", err)
		}
		if gateway != 0 {
			break // the other family's are as many as there are networks
		}
	}
	return r.uplink(gateway)
}

func (r *Reader) allAddresses() ([]rtnl.Listed, error) {
	addresses, err := retried(func() ([]rtnl.Listed, error) { return r.raw.Addresses(0) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addresses, nil
}

func (r *Reader) mainRoutes() ([]rtnl.Listed, error) {
	routes, err := retried(r.raw.MainRoutes)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// Uplink is the interface with an index, which was that of the default route when somebody
// looked: errdefs.ErrNotFound where it can be that no more.
func (r *Reader) Uplink(index int) (Interface, error) {
	i, err := r.uplink(index)
	if err == nil && !i.Up {
		err = fmt.Errorf("default route: interface %s is down: %w", i.Name, errdefs.ErrNotFound)
	}
	return i, err
}

// uplink is the interface of the default route, whose index is 0 where there is none.
func (r *Reader) uplink(index int) (Interface, error) {
	if index == 0 {
		return Interface{}, fmt.Errorf("default route: there is none: %w", errdefs.ErrNotFound)
	}
	i, err := r.InterfaceAt(index)
	if err != nil {
		return Interface{}, fmt.Errorf("default route: %w", err)
	}
	return i, nil
}
