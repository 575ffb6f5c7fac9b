package rtnl

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Listed is one address or route of a listing.
type Listed struct {
	Index int // of the interface
	// Prefix is an address with the length of its subnet, or of its own length
	// where it has a peer; or the destination of a route.
	Prefix  netip.Prefix
	Gateway netip.Addr // of a route; zero: on link
}

// Default reports whether it is a default route.
func (l Listed) Default() bool { return l.Prefix.Bits() == 0 }

// Addresses lists the addresses of one interface, or of all for index 0, of both
// families. The kernel leaves out others (NETLINK_GET_STRICT_CHK, Linux 4.20).
func (s *Socket) Addresses(index int) (all []Listed, err error) {
	err = s.EachAddress(index, func(l Listed) { all = append(all, l) })
	return all, err
}

// EachAddress is Addresses without memory for each of them.
func (s *Socket) EachAddress(index int, each func(Listed)) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	message := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	message.Index = uint32(index)
	request.AddData(message)
	return s.list(request, func(m []byte) error {
		l, err := addressOf(m)
		if err == nil && (index == 0 || l.Index == index) && l.Prefix.IsValid() {
			each(l)
		}
		return err
	})
}

// Ports lists the ports of the bridge, or of another master, with that index; the kernel
// leaves out others.
func (s *Socket) Ports(master int) ([]netlink.Link, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	var all []netlink.Link
	err := s.list(request, func(m []byte) error {
		l, err := netlink.LinkDeserialize(nil, m)
		if err == nil && l.Attrs().MasterIndex == master {
			all = append(all, l)
		}
		return err
	})
	return all, err
}

// MainRoutes lists the unicast routes of the main table, IPv4 before IPv6, one for each
// next hop; the kernel leaves out others. A kernel without one of the families has none of it.
func (s *Socket) MainRoutes() (all []Listed, err error) {
	err = s.EachMainRoute(func(l Listed) { all = append(all, l) })
	return all, err
}

// EachMainRoute is MainRoutes without memory for each of them.
func (s *Socket) EachMainRoute(each func(Listed)) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := s.EachMainRouteOf(family, each); err != nil {
			return err
		}
	}
	return nil
}

// EachMainRouteOf is EachMainRoute for one family, unix.AF_INET or unix.AF_INET6.
func (s *Socket) EachMainRouteOf(family uint8, each func(Listed)) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	message := &nl.RtMsg{}
	message.Family, message.Table, message.Type = family, unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	request.AddData(message)
	err := s.list(request, func(m []byte) error {
		header := nl.DeserializeRtMsg(m)
		if header.Family != family || !isOfMainTable(header) {
			return nil
		}
		return eachHop(header, m, each)
	})
	absent := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
	if absent {
		return nil
	}
	return err
}

func isOfMainTable(route *nl.RtMsg) bool {
	return route.Table == unix.RT_TABLE_MAIN && route.Type == unix.RTN_UNICAST && route.Flags&unix.RTM_F_CLONED == 0
}

// EachListed calls each with what a listing of addresses and of routes of the main table would
// tell of what a message is about: several next hops, or nothing.
func EachListed(m syscall.NetlinkMessage, each func(Listed)) {
	switch m.Header.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m.Data) < unix.SizeofIfAddrmsg {
			return
		}
		if l, err := addressOf(m.Data); err == nil && l.Prefix.IsValid() {
			each(l)
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.Data) < unix.SizeofRtMsg {
			return
		}
		if header := nl.DeserializeRtMsg(m.Data); isOfMainTable(header) {
			_ = eachHop(header, m.Data, each) // of what is cut off there is nothing to tell
		}
	}
}

// EachInUse calls each with the addresses and main routes that there are, some of them twice
// where others change meanwhile.
func (s *Socket) EachInUse(each func(Listed)) (err error) {
	const attempts = 10 // a change interrupts a listing
	for range attempts {
		err = errors.Join(s.EachAddress(0, each), s.EachMainRoute(each))
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return err
}

func addressOf(m []byte) (Listed, error) {
	header := nl.DeserializeIfAddrmsg(m)
	var local, address netip.Addr
	err := eachAttribute(m[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS: // of the peer, where there is one
			address, _ = netip.AddrFromSlice(value)
		}
	})
	if err != nil {
		return Listed{}, err
	}
	l := Listed{Index: int(header.Index), Prefix: netip.PrefixFrom(address, int(header.Prefixlen))}
	if local.IsValid() && local != address {
		l.Prefix = netip.PrefixFrom(local, local.BitLen())
	}
	return l, nil
}

// AddressOf is the address that a message is about; zero for any other message.
func AddressOf(m syscall.NetlinkMessage) netip.Addr {
	about := m.Header.Type == unix.RTM_NEWADDR || m.Header.Type == unix.RTM_DELADDR
	if !about || len(m.Data) < unix.SizeofIfAddrmsg {
		return netip.Addr{}
	}
	listed, err := addressOf(m.Data)
	if err != nil {
		return netip.Addr{}
	}
	return listed.Prefix.Addr()
}

// eachHop calls each with the next hops of a route.
func eachHop(header *nl.RtMsg, m []byte, each func(Listed)) error {
	destination := netip.IPv4Unspecified()
	if header.Family == unix.AF_INET6 {
		destination = netip.IPv6Unspecified()
	}
	var one Listed
	var several []byte
	err := eachAttribute(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			if given, ok := netip.AddrFromSlice(value); ok {
				destination = given
			}
		case unix.RTA_OIF:
			one.Index = int(nl.NativeEndian().Uint32(value))
		case unix.RTA_GATEWAY:
			one.Gateway, _ = netip.AddrFromSlice(value)
		case unix.RTA_MULTIPATH:
			several = value
		}
	})
	if err != nil {
		return err
	}
	prefix := netip.PrefixFrom(destination, int(header.Dst_len))
	if several != nil {
		return eachOfSeveral(several, prefix, each)
	}
	one.Prefix = prefix
	each(one)
	return nil
}

// eachOfSeveral is eachHop for a route by several interfaces.
func eachOfSeveral(value []byte, prefix netip.Prefix, each func(Listed)) error {
	for len(value) >= unix.SizeofRtNexthop {
		hop := nl.DeserializeRtNexthop(value)
		length := int(hop.RtNexthop.Len)
		if length < unix.SizeofRtNexthop || length > len(value) {
			break
		}
		l := Listed{Index: int(hop.Ifindex), Prefix: prefix}
		err := eachAttribute(value[unix.SizeofRtNexthop:length], func(kind uint16, value []byte) {
			if kind == unix.RTA_GATEWAY {
				l.Gateway, _ = netip.AddrFromSlice(value)
			}
		})
		if err != nil {
			return err
		}
		each(l)
		value = value[min(align(length), len(value)):]
	}
	return nil
}

// list asks for a listing and passes on each message of it. What changed meanwhile
// makes it netlink.ErrDumpInterrupted.
func (s *Socket) list(request *nl.NetlinkRequest, each func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.buffer = nil }() // listings are rare, and sockets are kept
	if err := s.send(request.Serialize()); err != nil {
		return err
	}
	l := listing{seq: request.Seq, each: each}
	for !l.ended {
		if err := s.receive(s.fd, listingSize, l.take); err != nil {
			return err
		}
	}
	return errors.Join(l.faults...)
}

// listing is an answer in several messages, all of which are to be read in any case.
type listing struct {
	seq    uint32
	each   func([]byte) error
	faults []error
	ended  bool
}

func (l *listing) take(m syscall.NetlinkMessage) {
	if m.Header.Seq != l.seq {
		return // of a request that nobody waits for
	}
	var err error
	switch {
	case m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR:
		l.ended, err = true, codeOf(m)
	case len(l.faults) == 0:
		err = l.each(m.Data)
	}
	if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
		err = errors.Join(err, netlink.ErrDumpInterrupted)
	}
	if err != nil {
		l.faults = append(l.faults, err)
	}
}

// codeOf is the error with which a listing ends, or nil.
func codeOf(m syscall.NetlinkMessage) error {
	if len(m.Data) < 4 {
		return nil
	}
	if code := unix.Errno(-int32(nl.NativeEndian().Uint32(m.Data))); code != 0 {
		return code
	}
	return nil
}
