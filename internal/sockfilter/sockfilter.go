// Package sockfilter has the kernel pick what a socket receives (SO_ATTACH_FILTER of
// socket(7)): a process that waits for little is then not woken by all else.
package sockfilter

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a program returns to pass a datagram or to drop it.
var (
	Pass = bpf.RetConstant{Val: 1 << 30} // so many bytes of it
	Drop = bpf.RetConstant{Val: 0}
)

// Filter is a program that the kernel accepts.
type Filter struct{ program []unix.SockFilter }

// Assemble makes a filter. One that reads behind the end of a datagram drops it.
func Assemble(program []bpf.Instruction) (Filter, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return Filter{}, fmt.Errorf("socket filter: %w", err)
	}
	f := Filter{make([]unix.SockFilter, len(raw))}
	for i, r := range raw {
		f.program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return f, nil
}

// Attach makes the filter that of a socket, in place of another one.
func (f Filter) Attach(socket int) error {
	program := unix.SockFprog{Len: uint16(len(f.program)), Filter: &f.program[0]}
	if err := unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("socket filter: attach: %w", err)
	}
	return nil
}

// Detach lets a socket receive all again.
func Detach(socket int) error {
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		return fmt.Errorf("socket filter: detach: %w", err)
	}
	return nil
}

// LowByte is the offset of the lower byte of a 16-bit number that is in the host's
// order, as netlink's own are: programs load in the network's.
func LowByte(offset uint32) uint32 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return offset + 1
	}
	return offset
}

// HighByte is that of the other byte.
func HighByte(offset uint32) uint32 { return 2*offset + 1 - LowByte(offset) }
