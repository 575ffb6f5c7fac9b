package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/sockfilter"
)

// Places in a message about an address or a route, behind struct nlmsghdr, that
// struct ifaddrmsg and struct rtmsg have in common.
const (
	typeAt   = 4
	familyAt = 16
	bitsAt   = 17
)

// FilterPrefixes is a filter that passes what
// the kernel tells of addresses and routes whose prefix overlaps one of prefixes; in
// doubt it passes. It spares a process that waits for little the news of all others.
// Of IPv6 it compares half of an address.
func FilterPrefixes(prefixes []netip.Prefix) (sockfilter.Filter, error) {
	kind := sockfilter.LowByte(typeAt)
	const address, route = 16 + unix.SizeofIfAddrmsg, 16 + unix.SizeofRtMsg // where attributes begin
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: bitsAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		sockfilter.Drop, // a default route
		bpf.LoadAbsolute{Off: kind, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_NEWADDR, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_DELADDR, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_NEWROUTE, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_DELROUTE, SkipTrue: 3},
		sockfilter.Drop,
		bpf.LoadConstant{Dst: bpf.RegA, Val: address},
		bpf.Jump{Skip: 1},
		bpf.LoadConstant{Dst: bpf.RegA, Val: route},
		bpf.LoadConstant{Dst: bpf.RegX, Val: unix.RTA_DST}, // IFA_ADDRESS has the same number
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		sockfilter.Pass,
		bpf.StoreScratch{Src: bpf.RegA, N: attributeSlot},
	}
	for _, p := range prefixes {
		if p.IsValid() {
			program = append(program, passOverlap(p.Masked())...)
		}
	}
	return sockfilter.Assemble(append(program, sockfilter.Drop))
}

// attributeSlot is where the filter keeps the offset of the attribute with the
// address.
const attributeSlot = 0

// passOverlap passes the datagram if the prefix in it overlaps p.
func passOverlap(p netip.Prefix) []bpf.Instruction {
	const word, half, header = 32, 64, 4 // bits, bits, bytes
	address := p.Addr().AsSlice()
	length := uint32(min(p.Bits(), word))
	// The first word but for the bits that one of both prefixes leaves open.
	compare := []bpf.Instruction{
		bpf.LoadAbsolute{Off: bitsAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: length, SkipTrue: 1},
		bpf.LoadConstant{Dst: bpf.RegA, Val: length},
		bpf.NegateA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: word},
		bpf.StoreScratch{Src: bpf.RegA, N: attributeSlot + 1},
		bpf.LoadScratch{Dst: bpf.RegX, N: attributeSlot},
		bpf.LoadIndirect{Off: header, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpXor, Val: binary.BigEndian.Uint32(address)},
		bpf.LoadScratch{Dst: bpf.RegX, N: attributeSlot + 1},
		bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
	}
	pass := []bpf.Instruction{sockfilter.Pass}
	if p.Bits() >= half { // then the second word too, unless the other one leaves it open
		pass = []bpf.Instruction{
			bpf.LoadAbsolute{Off: bitsAt, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: half, SkipTrue: 3},
			bpf.LoadScratch{Dst: bpf.RegX, N: attributeSlot},
			bpf.LoadIndirect{Off: header + 4, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(address[4:]), SkipTrue: 1},
			sockfilter.Pass,
		}
	}
	if p.Bits() == 0 {
		compare, pass = nil, []bpf.Instruction{sockfilter.Pass}
	} else {
		compare = append(compare, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: uint8(len(pass))})
	}
	compare = append(compare, pass...)
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: familyAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(FamilyOf(p.Addr())), SkipTrue: uint8(len(compare))},
	}, compare...)
}
