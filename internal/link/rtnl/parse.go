package rtnl

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// eachMessage calls each with the messages of a datagram, as syscall.ParseNetlinkMessage tells
// them, but without memory for each: a listing has thousands.
func eachMessage(b []byte, each func(syscall.NetlinkMessage)) error {
	for len(b) >= unix.SizeofNlMsghdr {
		header := syscall.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(b),
			Type:  binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]),
			Seq:   binary.NativeEndian.Uint32(b[8:]),
			Pid:   binary.NativeEndian.Uint32(b[12:]),
		}
		length := int(header.Len)
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return unix.EINVAL
		}
		each(syscall.NetlinkMessage{Header: header, Data: b[unix.SizeofNlMsghdr:length]})
		b = b[min(align(length), len(b)):]
	}
	return nil
}

// eachAttribute calls each with the attributes of a message, as nl.ParseRouteAttr tells
// them, but without memory for each.
func eachAttribute(b []byte, each func(kind uint16, value []byte)) error {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return unix.EINVAL
		}
		each(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:length])
		b = b[min(align(length), len(b)):]
	}
	return nil
}
