// Package hostport chooses ports of the host and says who has one.
package hostport

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/resource"
)

// MergeExposed adds the ports that an image exposes, like "80/tcp", unless the
// user published them already, each to be chosen.
func MergeExposed(ports []resource.PublishedPort, exposed []string) []resource.PublishedPort {
	out := slices.Clone(ports)
	for _, e := range exposed {
		number, protocol, given := strings.Cut(e, "/")
		if !given {
			protocol = resource.ProtocolTCP
		}
		first, last, isRange := strings.Cut(number, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from == 0 || protocol != resource.ProtocolTCP && protocol != resource.ProtocolUDP {
			continue // sctp, or no port at all: an image is not the user's to correct
		}
		for port := from; port <= to && len(out) <= resource.MaxPublishedPorts; port++ {
			published := func(p resource.PublishedPort) bool {
				return p.ContainerPort == uint16(port) && p.Protocol == protocol
			}
			if !slices.ContainsFunc(out, published) {
				out = append(out, resource.PublishedPort{Protocol: protocol, ContainerPort: uint16(port)})
			}
		}
	}
	return out
}

// Choose returns the ports each with a certain host port: one that is free now
// where the user left it open. Those of used are not chosen, though they may be
// free. It tells of each port for which there is none.
func Choose(wanted, used []resource.PublishedPort) ([]resource.PublishedPort, error) {
	out := slices.Clone(wanted)
	taken := newIndex(used, wanted)
	var faults []error
	for i, p := range out {
		switch {
		case p.Chosen():
			continue
		case p.HostPort != 0:
			out[i] = chooseOf(p, taken)
		default:
			out[i] = chooseAny(p, taken)
		}
		if !out[i].Chosen() {
			faults = append(faults, fmt.Errorf("publish %s: no host port is free", p.Host()))
			continue
		}
		taken.add(out[i])
	}
	return out, fault.As(errdefs.ErrResourceExhausted, errors.Join(faults...))
}

// chooseOf takes the first free port of a range; p itself if there is none.
func chooseOf(p resource.PublishedPort, taken index) resource.PublishedPort {
	for port := int(p.HostPort); port <= int(p.HostPortEnd); port++ {
		one := p
		one.HostPort, one.HostPortEnd = uint16(port), 0
		if !taken.clashes(one) && free(one) != 0 {
			return one
		}
	}
	return p
}

// chooseAny takes a port that the kernel says is free; p itself if there is none.
// Ports that it would never give to a connection of the host come first: nobody
// is there by chance when the container starts again.
func chooseAny(p resource.PublishedPort, taken index) resource.PublishedPort {
	const attempts = 256
	for port := int(lastEphemeral()) + 1; port <= math.MaxUint16; port++ {
		one := p
		one.HostPort = uint16(port)
		if !taken.clashes(one) && free(one) != 0 {
			return one
		}
	}
	for range attempts {
		one := p
		one.HostPort = free(p)
		if one.HostPort != 0 && !taken.clashes(one) {
			return one
		}
	}
	return p
}

// free returns the host port if a socket can be bound to it now, any free one for
// 0; 0 if there is none.
func free(p resource.PublishedPort) uint16 {
	network, address := p.ListenAddress()
	if p.Protocol == resource.ProtocolUDP {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return 0
		}
		defer c.Close() //nolint:errcheck // nothing was sent
		return portOf(c.LocalAddr())
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return 0
	}
	defer l.Close()
	return portOf(l.Addr())
}

func portOf(a net.Addr) uint16 {
	bound, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return 0
	}
	return bound.Port()
}
