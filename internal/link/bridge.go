package link

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// BridgeSpec is what a bridge should be.
type BridgeSpec struct {
	Name      string
	Alias     string              // ifalias; a bridge of that name with another one is not ours
	MAC       resource.MACAddress // fixed, else it would change with the ports
	MTU       int
	Addresses []netip.Prefix // exactly these, link-local ones aside
}

// EnsureBridge makes the bridge or adopts what is there and repairs it. A link
// of that name that does not carry the alias is errdefs.ErrAlreadyExists.
//
// The bridge forwards at once: no spanning tree, no forward delay; and it
// floods multicast, which neighbour discovery needs where nobody queries.
func (h *Handle) EnsureBridge(s BridgeSpec) error {
	have, err := h.Interface(s.Name)
	adopted := err == nil
	switch {
	case errdefs.IsNotFound(err):
		if err := h.raw.Do(rtnl.Bridge(s.Name, s.MAC.HardwareAddr())); err != nil {
			return rtnl.Explain(err, "bridge", "bridge "+s.Name)
		}
		if have, err = h.Interface(s.Name); err != nil {
			return err
		}
	case err != nil:
		return err
	case !OwnBridge(have, s):
		return fmt.Errorf("interface %s: exists and was not made for this network: %w", s.Name, errdefs.ErrAlreadyExists)
	}
	if err := h.Inside(func() error { return sysctl.Quiet(s.Name) }); err != nil {
		return err
	}
	requests, err := h.bridgeRepairs(have, s)
	if err != nil {
		return err
	}
	if adopted { // with ports of an earlier release, which do not take them
		ports, err := h.Ports(s.Name)
		if err != nil {
			return err
		}
		for _, p := range ports {
			requests = append(requests, rtnl.TakeLongSegments(p.Name)...)
		}
	}
	if err := h.raw.Do(requests...); err != nil {
		return fmt.Errorf("bridge %s: %w", s.Name, rtnl.KindOf(err))
	}
	return nil
}

// OwnBridge reports whether a link is the bridge of the spec: by its alias or,
// where its maker died before it could set that, by its MAC address.
func OwnBridge(have inspect.Interface, s BridgeSpec) bool {
	return have.Kind == "bridge" && (have.Alias == s.Alias || have.Alias == "" && have.MAC == s.MAC)
}

// BridgeFaults compares a bridge with what it should be, one line for each
// difference.
func (h *Handle) BridgeFaults(s BridgeSpec) []string {
	have, err := h.Interface(s.Name)
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	if !have.Up {
		faults = append(faults, fmt.Sprintf("bridge %s: is down", s.Name))
	}
	if have.MTU != s.MTU {
		faults = append(faults, fmt.Sprintf("bridge %s: has mtu %d instead of %d", s.Name, have.MTU, s.MTU))
	}
	addresses, err := h.AddressesOn(have.Index)
	if err != nil {
		return append(faults, err.Error())
	}
	for _, a := range s.Addresses {
		if !slices.Contains(addresses, a) {
			faults = append(faults, fmt.Sprintf("bridge %s: lacks address %s", s.Name, a))
		}
	}
	return faults
}

// Retire takes a port of a bridge out of use for good and frees its name: the link
// goes down, which no process in the sandbox can undo on this side, and gets a name
// of its own, prefix and its index, until DeleteIndex removes it. ForgetNeighbours
// is part of it, unless the port is not there: errdefs.ErrNotFound, which nothing is
// waited for to find out.
func (h *Handle) Retire(port, bridge, prefix string, addresses []netip.Addr) (index int, err error) {
	index, err = h.Index(port)
	if err != nil {
		return 0, err
	}
	master, err := h.Index(bridge)
	if err != nil && !errdefs.IsNotFound(err) {
		return 0, err
	}
	rename := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	rename.AddData(msg)
	rename.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(fmt.Sprintf("%s%d", prefix, index))))
	requests := append(rtnl.ForgetNeighbours(master, addresses), rtnl.Flags(index, false), rename)
	if err := h.raw.Do(requests...); err != nil && !gone(err) {
		return 0, fmt.Errorf("port %s: take off the network: %w", port, err)
	}
	return index, nil
}

// LetReturn lets a bridge send frames back by the port that they came in by, where
// frames inside of bridges go through the packet filter of IP (br_netfilter).
// Only there a translated packet can come to be for its sender; elsewhere the
// host routes it.
func (h *Handle) LetReturn(port string) error {
	filtered := false
	err := h.Inside(func() error {
		filtered = sysctl.BridgesFiltered()
		return nil
	})
	if err != nil || !filtered {
		return err
	}
	index, err := h.Index(port)
	if err != nil {
		return err
	}
	if err := h.raw.Do(rtnl.Hairpin(index)); err != nil {
		return fmt.Errorf("port %s: let frames return: %w", port, err)
	}
	return nil
}

// bridgeRepairs are the requests that make the bridge what it should be.
func (h *Handle) bridgeRepairs(is inspect.Interface, s BridgeSpec) ([]*nl.NetlinkRequest, error) {
	index := is.Index
	var requests []*nl.NetlinkRequest
	// Of a link that is up, the kernel tells a new alias as a change of its state, for which it
	// goes through the IPv6 routes of all links.
	if is.Alias != s.Alias || s.MTU != 0 && is.MTU != s.MTU {
		requests = append(requests, described(index, s))
	}
	if !is.Up {
		requests = append(requests, rtnl.Flags(index, true))
	}
	have, err := h.AddressesOn(index)
	if err != nil {
		return nil, err
	}
	for _, a := range have {
		if !a.Addr().IsLinkLocalUnicast() && !slices.Contains(s.Addresses, a) {
			requests = append(requests, rtnl.Address(unix.RTM_DELADDR, index, a))
		}
	}
	for _, a := range s.Addresses {
		if !slices.Contains(have, a) {
			requests = append(requests, rtnl.Address(unix.RTM_NEWADDR, index, a))
		}
	}
	return requests, nil
}

// described gives a link the alias and, if there is one, the MTU of a bridge.
func described(index int, s BridgeSpec) *nl.NetlinkRequest {
	set := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	set.AddData(msg)
	set.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(s.Alias)))
	if s.MTU != 0 {
		set.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU))))
	}
	return set
}

// ForgetNeighbours removes what the host knows about who has the addresses on an
// interface, if that is there, so that their next owners are asked for at once. It waits
// for whoever changes links, as one who deletes some does for milliseconds.
func (h *Handle) ForgetNeighbours(name string, addresses []netip.Addr) error {
	index, err := h.Index(name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.raw.Do(rtnl.ForgetNeighbours(index, addresses)...)
}
