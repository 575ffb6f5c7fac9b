package listener

import (
	"bytes"
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/interest"
	"patchbay.dev/patchbay/internal/link/rtnl"
)

// audience goes through the clients whom a message concerns; through one perhaps more than once.
type audience func(all *register, take func(*client))

func everybody(all *register, take func(*client)) {
	for c := range all.wishes {
		take(c)
	}
}

// concernsOwner tells whom a message of the packet filter concerns; nil: nobody.
func concernsOwner(m syscall.NetlinkMessage) audience {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return nil
	}
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET:
		return func(all *register, take func(*client)) {
			for c, i := range all.wishes {
				if i.Table != "" && bytes.Contains(m.Data, append([]byte(i.Table), 0)) {
					take(c)
				}
			}
		}
	case unix.NFT_MSG_DELSETELEM:
		comment := interest.Comment(m.Data)
		return func(all *register, take func(*client)) {
			all.ofOwner(comment, func(c *client) {
				// A socket that a process opens for the first time has its pid for an address.
				if m.Header.Pid != uint32(c.pid) {
					take(c)
				}
			})
		}
	}
	return nil
}

// concernsPrefixes tells whom a message of an address or a route concerns; nil: nobody.
func concernsPrefixes(m syscall.NetlinkMessage) audience {
	p, _ := rtnl.PrefixOf(m)
	if !p.IsValid() || p.Bits() == 0 || p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() { // no network's
		return nil
	}
	return func(all *register, take func(*client)) { all.overlapping(p, take) }
}

// message is the form of a message that the kernel sends, with the padding before another one.
func message(m syscall.NetlinkMessage) []byte {
	padding := -len(m.Data) & (unix.NLMSG_ALIGNTO - 1)
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(m.Data)+padding)
	binary.NativeEndian.PutUint32(b[0:], m.Header.Len)
	binary.NativeEndian.PutUint16(b[4:], m.Header.Type)
	binary.NativeEndian.PutUint16(b[6:], m.Header.Flags)
	binary.NativeEndian.PutUint32(b[8:], m.Header.Seq)
	binary.NativeEndian.PutUint32(b[12:], m.Header.Pid)
	b = append(b, m.Data...)
	return b[:len(b)+padding]
}

// control is a message of the listener's own.
func control(kind uint16, data []byte) []byte {
	header := syscall.NlMsghdr{Len: uint32(unix.SizeofNlMsghdr + len(data)), Type: kind}
	return message(syscall.NetlinkMessage{Header: header, Data: data})
}

// request is control with the process that it is about: this one.
func request(kind uint16) []byte {
	return message(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Len: unix.SizeofNlMsghdr, Type: kind, Pid: uint32(os.Getpid())}})
}
