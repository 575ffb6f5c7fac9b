package ports

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/sockfilter"
)

// carriers passes a message about a link with a carrier that is a port of the bridge with
// that index, behind struct nlmsghdr and struct ifinfomsg.
// The kernel sends each by itself.
func carriers(bridge int) (sockfilter.Filter, error) {
	const (
		lowerUp    = unix.IFF_LOWER_UP >> 16 // in the upper half of the flags
		typeAt     = 4
		familyAt   = unix.SizeofNlMsghdr
		flagsAt    = familyAt + 8
		attributes = familyAt + unix.SizeofIfInfomsg
		header     = unix.SizeofRtAttr
	)
	upper := uint32(flagsAt + 2)
	if sockfilter.LowByte(0) != 0 {
		upper = flagsAt
	}
	index := binary.NativeEndian.AppendUint32(nil, uint32(bridge))
	return sockfilter.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: sockfilter.LowByte(typeAt), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_NEWLINK, SkipTrue: 1},
		sockfilter.Drop,
		bpf.LoadAbsolute{Off: familyAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNSPEC, SkipTrue: 1},
		sockfilter.Drop, // of the bridge about its port
		bpf.LoadAbsolute{Off: sockfilter.LowByte(upper), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: lowerUp, SkipTrue: 1},
		sockfilter.Drop,
		bpf.LoadConstant{Dst: bpf.RegA, Val: attributes},
		bpf.LoadConstant{Dst: bpf.RegX, Val: unix.IFLA_MASTER},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		sockfilter.Drop,
		bpf.TAX{},
		bpf.LoadIndirect{Off: header, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(index), SkipTrue: 1},
		sockfilter.Drop,
		sockfilter.Pass,
	})
}

// linkOf returns the name and the index of the link that a message is about.
func linkOf(m syscall.NetlinkMessage) (name string, index int, err error) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return "", 0, fmt.Errorf("message of %d bytes about a link: too short", len(m.Data))
	}
	attributes, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return "", 0, fmt.Errorf("message about a link: %w", err)
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.IFLA_IFNAME {
			name = unix.ByteSliceToString(a.Value)
		}
	}
	return name, int(nl.DeserializeIfInfomsg(m.Data).Index), nil
}
