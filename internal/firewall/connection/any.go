package connection

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// HasElements reports whether a set has any. Where it has, the connection is closed: the
// kernel tells some of them at a time, and what it has not told yet, which grows with their
// number, is not asked for. A set that is not there is unix.ENOENT.
func (c *Connection) HasElements(set *nftables.Set) (has bool, err error) {
	if err := c.open(); err != nil {
		return false, err
	}
	request, err := listing(set)
	if err != nil {
		return false, err
	}
	failed := c.wire.raw.Control(func(fd uintptr) { has, err = anyListed(int(fd), request) })
	err = errors.Join(failed, err)
	if has || err != nil {
		err = errors.Join(err, c.Close())
	}
	return has, err
}

// listing asks for the elements of a set.
func listing(set *nftables.Set) ([]byte, error) {
	of, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: append([]byte(set.Table.Name), 0)},
		{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: append([]byte(set.Name), 0)},
	})
	if err != nil {
		return nil, err
	}
	data := append(make([]byte, 0, sizeofNfgenmsg+len(of)), byte(set.Table.Family), unix.NFNETLINK_V0, 0, 0)
	data = append(data, of...)
	return netlink.Message{
		Header: netlink.Header{
			Length: uint32(unix.NLMSG_HDRLEN + len(data)),
			Type:   unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM,
			Flags:  netlink.Request | netlink.Dump,
		},
		Data: data,
	}.MarshalBinary()
}

// sizeofNfgenmsg is the size of struct nfgenmsg, with which messages of the packet filter begin.
const sizeofNfgenmsg = 4

// anyListed sends a request for a listing of elements and reads the answer up to the first of
// them. The first part of it is there when the request is sent, each other one when the one
// before has been received.
func anyListed(fd int, request []byte) (bool, error) {
	if err := unix.Sendto(fd, request, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	const part = 8 << 10
	buffer := make([]byte, part)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		if err != nil {
			return false, fmt.Errorf("receive: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return false, fmt.Errorf("receive: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR {
				return false, codeOf(m.Data)
			}
			if has, err := listsElements(m.Data); has || err != nil {
				return has, err
			}
		}
	}
}

// codeOf is the error with which the kernel ends an answer, or nil.
func codeOf(data []byte) error {
	const size = 4
	if len(data) < size {
		return nil
	}
	if code := -int32(binary.NativeEndian.Uint32(data)); code != 0 {
		return unix.Errno(code)
	}
	return nil
}

// listsElements reports whether a message of a listing has an element.
func listsElements(data []byte) (has bool, err error) {
	if len(data) < sizeofNfgenmsg {
		return false, nil
	}
	attributes, err := netlink.NewAttributeDecoder(data[sizeofNfgenmsg:])
	if err != nil {
		return false, err
	}
	for attributes.Next() {
		has = has || attributes.Type() == unix.NFTA_SET_ELEM_LIST_ELEMENTS && len(attributes.Bytes()) > 0
	}
	return has, attributes.Err()
}
