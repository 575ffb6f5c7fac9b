// Package interest picks from what the kernel tells of the packet filter what
// concerns one network. All of it goes to the process of every network, and with
// many of them it is dear if each wakes up for what concerns one.
package interest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/sockfilter"
)

// Sizes of the headers of a message: struct nlmsghdr and struct nfgenmsg.
const (
	netlinkHeader   = 16
	netfilterHeader = 4
	attributeHeader = 4
	commentHeader   = 2
	typeAt          = 4
)

// looksAhead is how many messages of one datagram the filter looks at; longer ones
// pass.
const looksAhead = 24

// offsetSlot is where the filter keeps the offset of the message it looks at.
const offsetSlot, lengthSlot = 0, 1

// Removals is a socket filter that passes datagrams which tell of a removal of
// tables, chains, rules or sets, whoever's, or of an element with a comment that
// begins with the id of a network, of any for an empty one. What it cannot make out passes as well.
func Removals(network string) (sockfilter.Filter, error) {
	one := inMessage(network)
	program := []bpf.Instruction{
		bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: offsetSlot},
	}
	for range looksAhead {
		program = append(program, one...)
	}
	program = append(program, stopAtEnd()...)
	return sockfilter.Assemble(append(program, sockfilter.Pass))
}

// Element is an attribute of the first element that a message of the packet filter speaks of:
// the one that a path of attributes leads to.
func Element(data []byte, path ...uint16) ([]byte, error) {
	b := data[min(netfilterHeader, len(data)):]
	for _, kind := range append([]uint16{unix.NFTA_SET_ELEM_LIST_ELEMENTS, unix.NFTA_LIST_ELEM}, path...) {
		attributes, err := nl.ParseRouteAttr(b)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(attributes, func(a syscall.NetlinkRouteAttr) bool { return a.Attr.Type&^unix.NLA_F_NESTED == kind })
		if at < 0 {
			return nil, fmt.Errorf("attribute %d is not there", kind)
		}
		b = attributes[at].Value
	}
	return b, nil
}

// Comment is that of the first element that a message speaks of, nil where it has none.
func Comment(data []byte) []byte {
	comment, err := Element(data, unix.NFTA_SET_ELEM_USERDATA)
	if err != nil || len(comment) < commentHeader {
		return nil
	}
	return comment[commentHeader:]
}

// stopAtEnd drops the datagram when the last of its messages has been looked at,
// and else leaves the offset of the next one in X.
func stopAtEnd() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadScratch{Dst: bpf.RegX, N: offsetSlot},
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIfX{Cond: bpf.JumpGreaterThan, SkipTrue: 1},
		sockfilter.Drop,
	}
}

// inMessage passes the datagram if the message at the offset is one of
// interest, else moves the offset to the next one. Messages are shorter than 64 KiB,
// so that the length's lower half says all.
func inMessage(network string) []bpf.Instruction {
	length := uint32(0)
	if sockfilter.LowByte(0) != 0 {
		length = 2
	}
	low, high, kind := sockfilter.LowByte(length), sockfilter.HighByte(length), sockfilter.LowByte(typeAt)
	out := append(stopAtEnd(), bpf.LoadIndirect{Off: kind, Size: 1})
	for _, removal := range []uint32{unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET} {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: removal, SkipFalse: 1}, sockfilter.Pass)
	}
	element := inElement(network)
	out = append(out, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.NFT_MSG_DELSETELEM, SkipTrue: uint8(len(element))})
	out = append(out, element...)
	const alignment = unix.NLMSG_ALIGNTO - 1
	return append(
		out,
		bpf.LoadScratch{Dst: bpf.RegX, N: offsetSlot},
		bpf.LoadIndirect{Off: low, Size: 1},
		bpf.StoreScratch{Src: bpf.RegA, N: lengthSlot},
		bpf.LoadIndirect{Off: high, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 8},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, // offset and the higher byte
		bpf.LoadScratch{Dst: bpf.RegX, N: lengthSlot},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: alignment},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(alignment)},
		bpf.StoreScratch{Src: bpf.RegA, N: offsetSlot},
	)
}

// inElement passes the datagram if the comment of the element in the
// message at X begins with the id. The comment is the user data behind two bytes,
// its type and its length (libnftnl, udata.h).
func inElement(network string) []bpf.Instruction {
	out := []bpf.Instruction{
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: netlinkHeader + netfilterHeader},
		bpf.LoadConstant{Dst: bpf.RegX, Val: unix.NFTA_SET_ELEM_LIST_ELEMENTS},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
	}
	for _, inner := range []uint32{unix.NFTA_LIST_ELEM, unix.NFTA_SET_ELEM_USERDATA} {
		out = append(out,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1}, sockfilter.Pass,
			bpf.LoadConstant{Dst: bpf.RegX, Val: inner},
			bpf.LoadExtension{Num: bpf.ExtNetlinkAttrNested})
	}
	compare := compareText(network, attributeHeader+commentHeader)
	out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: uint8(len(compare) + 1)}, bpf.TAX{}) // without a comment: not ours
	return append(out, compare...)
}

// compareText passes the datagram if a text is at an offset behind X.
func compareText(text string, offset uint32) []bpf.Instruction {
	type load struct {
		size  int
		value uint32
	}
	var loads []load
	for b := []byte(text); len(b) > 0; {
		if len(b) >= 4 {
			loads, b = append(loads, load{4, binary.BigEndian.Uint32(b)}), b[4:]
		} else {
			loads, b = append(loads, load{1, uint32(b[0])}), b[1:]
		}
	}
	var out []bpf.Instruction
	for i, l := range loads {
		rest := 2*(len(loads)-i-1) + 1
		out = append(out,
			bpf.LoadIndirect{Off: offset, Size: l.size},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: l.value, SkipTrue: uint8(rest)})
		offset += uint32(l.size)
	}
	return append(out, sockfilter.Pass)
}
