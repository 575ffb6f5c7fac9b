package networkplugin

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
)

// RefuseUnknown returns an errdefs.ErrInvalidArgument that names every option
// that is not known, and those that are; nil when there is none.
func RefuseUnknown(options map[string]string, known ...string) error {
	var faults []error
	accepted := "no option is accepted"
	if len(known) > 0 {
		accepted = "want " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, key) {
			faults = append(faults, fmt.Errorf("option %q: unknown, %s: %w", key, accepted, errdefs.ErrInvalidArgument))
		}
	}
	return errors.Join(faults...)
}

// ChooseSubnets returns the subnets of a network: none for a family that is
// turned off, the given ones, checked, else chosen ones, from the pools of c;
// they are the same for the same network as long as they are free. Occupied are the prefixes of the host's routes and addresses; they, like
// the prefixes of other networks in c.Used, may not be overlapped, unless the
// network is adopted. What is the network's own, left over from an earlier run,
// is not to be among them.
//
// Errors are errdefs.ErrInvalidArgument for a malformed or unfit subnet,
// errdefs.ErrAlreadyExists for an overlap and errdefs.ErrResourceExhausted when
// none is left to choose; all faults are reported at once.
func ChooseSubnets(c Configuration, occupied []netip.Prefix) (v4, v6 netip.Prefix, err error) {
	if c.Adopted {
		occupied = nil // a network cannot evade what comes later
	}
	var err4, err6 error
	if v4 = c.IPv4Subnet; c.IPv4Disabled {
		v4 = netip.Prefix{}
	} else if v4.IsValid() {
		err4 = checkGiven(v4, ipam.CheckSubnet4, c.Used, occupied)
	} else {
		v4, err4 = ipam.ChooseSubnet4(c.ID, c.IPv4Pools, allUsed(c.Used, occupied))
	}
	if v6 = c.IPv6Subnet; c.IPv6Disabled {
		v6 = netip.Prefix{}
	} else if v6.IsValid() {
		err6 = checkGiven(v6, ipam.CheckSubnet6, c.Used, occupied)
	} else {
		v6, err6 = ipam.ChooseSubnet6(c.ID, c.IPv6Pools, allUsed(c.Used, occupied))
	}
	if err := errors.Join(err4, err6); err != nil {
		return netip.Prefix{}, netip.Prefix{}, err
	}
	return v4, v6, nil
}

// allUsed goes through both without a copy: there may be thousands.
func allUsed(networks []UsedPrefix, host []netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for _, u := range networks {
			if !yield(u.Prefix) {
				return
			}
		}
		for _, p := range host {
			if !yield(p) {
				return
			}
		}
	}
}

func checkGiven(p netip.Prefix, check func(netip.Prefix) error, networks []UsedPrefix, host []netip.Prefix) error {
	if err := check(p); err != nil {
		return err
	}
	var used []ipam.Occupied // of those that may be in the way
	for _, u := range networks {
		if u.Prefix.Overlaps(p) {
			used = append(used, ipam.Occupied{By: "network " + u.Network, Prefix: u.Prefix})
		}
	}
	for _, h := range host {
		if h.Overlaps(p) {
			used = append(used, ipam.Occupied{By: "a route or address of the host", Prefix: h})
		}
	}
	return ipam.CheckOverlap(p, used)
}
