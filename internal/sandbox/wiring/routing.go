package wiring

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/resource"
)

// route gives the interfaces the routes that their attachments ask for, each
// attachment at the place of its interface. Two interfaces with one address are
// errdefs.ErrAlreadyExists: no rule could tell them apart.
//
// In the main table a destination, that of the default route too, belongs to the
// attachment with the highest gateway priority among those that lead to it; of
// equal ones to the first. Where several interfaces have addresses of a family,
// each of them has a table of its own too, so that answers leave where the
// questions came in.
func route(interfaces []Interface, attachments []resource.Attachment) error {
	if err := oneOwnerEach(interfaces, attachments); err != nil {
		return err
	}
	owners := destinationOwners(interfaces, attachments)
	var addressed [2]int // interfaces with addresses of IPv4 and IPv6
	for _, i := range interfaces {
		for family, yes := range i.families() {
			if yes {
				addressed[family]++
			}
		}
	}
	for place := range interfaces {
		i, wanted := &interfaces[place], routes.Wanted(attachments[place])
		for _, r := range wanted {
			if owners[r.Destination] == place {
				i.Routes = append(i.Routes, r)
			}
		}
		for family, yes := range i.families() {
			if yes && addressed[family] > 1 {
				i.OwnRoutes = append(i.OwnRoutes, routes.Own(i.Addresses, wanted, family)...)
			}
		}
	}
	return nil
}

// families says of which families the interface has addresses.
func (i Interface) families() (has [2]bool) {
	for _, a := range i.Addresses {
		has[routes.Family(a.Addr())] = true
	}
	return has
}

// destinationOwners returns the place of the interface that leads to each
// destination in the main table. Those of subnets are the kernel's own: -1.
func destinationOwners(interfaces []Interface, attachments []resource.Attachment) map[netip.Prefix]int {
	owners := map[netip.Prefix]int{}
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			if subnet, ok := routes.Subnet(a); ok {
				owners[subnet] = -1
			}
		}
	}
	for place, a := range attachments {
		for _, r := range routes.Wanted(a) {
			owner, claimed := owners[r.Destination]
			if !claimed || owner >= 0 && a.GatewayPriority > attachments[owner].GatewayPriority {
				owners[r.Destination] = place
			}
		}
	}
	return owners
}

func oneOwnerEach(interfaces []Interface, attachments []resource.Attachment) error {
	owners := map[netip.Addr]int{}
	var faults []error
	for place, i := range interfaces {
		for _, a := range i.Addresses {
			if first, taken := owners[a.Addr()]; taken {
				faults = append(faults, fmt.Errorf("network %s: %w: address %v is already that of interface %s on network %s; ask for another one or renumber one of the networks",
					attachments[place].Network, errdefs.ErrAlreadyExists, a.Addr(), interfaces[first].Name, attachments[first].Network))
				continue
			}
			owners[a.Addr()] = place
		}
	}
	return errors.Join(faults...)
}
