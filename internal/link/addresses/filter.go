package addresses

import (
	"encoding/binary"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/sockfilter"
)

// Places in a message about an address, behind struct nlmsghdr and struct ifaddrmsg.
const (
	typeAt     = 4
	familyAt   = unix.SizeofNlMsghdr
	scopeAt    = familyAt + 3
	attributes = familyAt + unix.SizeofIfAddrmsg
	header     = unix.SizeofRtAttr
)

// exceptSize is how many letters of a name are compared.
const exceptSize = 3

// global passes a message about an address of all scopes but link and host, unless it is a
// unique-local one of IPv6 (RFC 4193) or its label begins with except. The kernel sends each
// by itself.
func global(except string) (sockfilter.Filter, error) {
	if len(except) != exceptSize {
		return sockfilter.Filter{}, fmt.Errorf("prefix %q of interface names: want %d letters: %w", except, exceptSize, errdefs.ErrInvalidArgument)
	}
	prefix := binary.BigEndian.Uint32(append([]byte{0}, except...))
	return sockfilter.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: sockfilter.LowByte(typeAt), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_NEWADDR, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_DELADDR, SkipTrue: 1},
		sockfilter.Drop,
		bpf.LoadAbsolute{Off: scopeAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: unix.RT_SCOPE_LINK, SkipTrue: 1},
		sockfilter.Drop,
		bpf.LoadAbsolute{Off: familyAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET6, SkipTrue: 10},

		bpf.LoadConstant{Dst: bpf.RegA, Val: attributes},
		bpf.LoadConstant{Dst: bpf.RegX, Val: unix.IFA_LABEL},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		sockfilter.Pass,
		bpf.TAX{},
		bpf.LoadIndirect{Off: header, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 8 * (4 - exceptSize)},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: prefix, SkipTrue: 11},
		sockfilter.Pass,

		bpf.LoadConstant{Dst: bpf.RegA, Val: attributes},
		bpf.LoadConstant{Dst: bpf.RegX, Val: unix.IFA_ADDRESS},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		sockfilter.Pass,
		bpf.TAX{},
		bpf.LoadIndirect{Off: header, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfe},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0xfc, SkipTrue: 1},
		sockfilter.Pass,
		sockfilter.Drop,
	})
}
