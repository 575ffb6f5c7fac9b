// Package floor is what the kernel needs for a container's networks: a veth pair for
// each, whose inner end is born in the namespace, a port of a bridge, addresses
// and default routes of both families. All is sent in two batches, without a
// question in between; no tool can do the same in less.
package floor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Floor is a host with bridges, in a namespace of its own.
type Floor struct {
	host    *netns.Namespace
	socket  int
	bridges []int
	pairs   int
}

// Open makes the host with so many bridges.
func Open(bridges int) (*Floor, error) {
	host, err := netns.New()
	if err != nil {
		return nil, err
	}
	f := &Floor{host: host, socket: -1}
	err = host.Do(func() error {
		for i := range bridges {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = fmt.Sprintf("br%d", i)
			bridge := &netlink.Bridge{LinkAttrs: attrs}
			if err := netlink.LinkAdd(bridge); err != nil {
				return fmt.Errorf("bridge: %w", err)
			}
			if err := netlink.LinkSetUp(bridge); err != nil {
				return fmt.Errorf("bridge: %w", err)
			}
			f.bridges = append(f.bridges, bridge.Attrs().Index)
		}
		var err error
		f.socket, err = open()
		return err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close takes all away.
func (f *Floor) Close() error {
	if f.socket >= 0 {
		_ = unix.Close(f.socket)
	}
	return f.host.Close()
}

// Attach attaches a fresh namespace to the first so many bridges.
func (f *Floor) Attach(inside *netns.Namespace, networks int) error {
	const firstIndex = 2 // beside the loopback interface
	var pairs []*nl.NetlinkRequest
	for i := range networks {
		pairs = append(pairs, f.pair(inside, i, firstIndex+i))
	}
	if err := send(f.socket, pairs); err != nil {
		return fmt.Errorf("pairs: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	socket, err := openIn(inside)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	requests := []*nl.NetlinkRequest{up(1)}
	for i := range networks {
		requests = append(requests, up(firstIndex+i))
		for _, address := range addresses(i) {
			requests = append(requests, addAddress(firstIndex+i, address))
		}
	}
	for _, gateway := range []string{"10.90.0.1", "fd90::1"} {
		requests = append(requests, addRoute(firstIndex, netip.MustParseAddr(gateway)))
	}
	if err := send(socket, requests); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	return nil
}

func addresses(network int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.9%d.0.2/24", network)),
		netip.MustParsePrefix(fmt.Sprintf("fd9%d::2/64", network)),
	}
}

func (f *Floor) pair(inside *netns.Namespace, network, index int) *nl.NetlinkRequest {
	f.pairs++
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Flags, m.Change = unix.IFF_UP, unix.IFF_UP
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(fmt.Sprintf("p%d", f.pairs))))
	r.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(f.bridges[network]))))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC).Index = int32(index)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(fmt.Sprintf("eth%d", network)))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(inside.FD())))
	r.AddData(info)
	return r
}

func up(index int) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index, m.Flags, m.Change = int32(index), unix.IFF_UP, unix.IFF_UP
	r.AddData(m)
	return r
}

func addAddress(index int, address netip.Prefix) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	m := nl.NewIfAddrmsg(family(address.Addr()))
	m.Prefixlen, m.Index = uint8(address.Bits()), uint32(index)
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, address.Addr().AsSlice()))
	r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, address.Addr().AsSlice()))
	if address.Addr().Is6() { // no waiting for others with this address
		r.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_NODAD)))
	}
	return r
}

func addRoute(index int, gateway netip.Addr) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	m := nl.NewRtMsg()
	m.Family = uint8(family(gateway))
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, net.IP(gateway.AsSlice())))
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return r
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// openIn opens a socket in a namespace. The calling goroutine is locked to its
// thread.
func openIn(inside *netns.Namespace) (int, error) {
	home, err := vns.Get()
	if err != nil {
		return -1, err
	}
	defer home.Close()
	if err := vns.Set(vns.NsHandle(inside.FD())); err != nil {
		return -1, err
	}
	socket, err := open()
	return socket, errors.Join(err, vns.Set(home))
}

func open() (int, error) {
	return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
}

// send sends requests in one message and waits for all answers.
func send(socket int, requests []*nl.NetlinkRequest) error {
	var out []byte
	for _, r := range requests {
		out = append(out, r.Serialize()...)
	}
	if err := unix.Sendto(socket, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var errs []error
	buffer := make([]byte, 64<<10)
	for answers := 0; answers < len(requests); {
		n, _, err := unix.Recvfrom(socket, buffer, 0)
		if err != nil {
			return err
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			header := (*unix.NlMsghdr)(unsafe.Pointer(&rest[0]))
			if header.Type == unix.NLMSG_ERROR {
				answers++
				if code := *(*int32)(unsafe.Pointer(&rest[unix.SizeofNlMsghdr])); code != 0 {
					errs = append(errs, unix.Errno(-code))
				}
			}
			size := (int(header.Len) + 3) &^ 3
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				break
			}
			rest = rest[size:]
		}
	}
	return errors.Join(errs...)
}
