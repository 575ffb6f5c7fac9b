package connection

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// wire is the socket of a connection, for what the library would need more messages, calls and
// memory for: it asks for an answer to each message of a transaction, and reads each of them by two
// calls, with a new buffer of 4 KiB.
type wire struct {
	raw         syscall.RawConn // of the library's own socket
	transaction transaction
}

// kept is how much memory is kept for the next transaction, in bytes; one of a port has 1 KiB.
const kept = 4 << 10

// take is a nftables.SockOption.
func (w *wire) take(conn *netlink.Conn) (err error) {
	w.raw, err = conn.SyscallConn()
	return err
}

// change makes a transaction of some elements, and returns when it has happened, or the first
// of its errors.
func (w *wire) change(some []Element, steps []step) error {
	first, last := w.transaction.encode(some, steps)
	var failure error
	err := w.raw.Control(func(fd uintptr) { failure = transact(int(fd), w.transaction.out, first, last) })
	if cap(w.transaction.out) > kept {
		w.transaction.out = nil
	}
	return errors.Join(err, failure)
}

// transact sends a transaction, whose answers are there when that returns: that to its last
// message, and before it an error of each that failed. What the kernel says of the first
// message is said of the whole (nfnetlink_rcv_batch of net/netfilter/nfnetlink.c).
func transact(fd int, out []byte, first, last uint32) error {
	if err := unix.Sendto(fd, out, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("nftables: send: %w", err)
	}
	var failure error
	for {
		var answer [unix.SizeofNlMsghdr + 4]byte // without the message that it is to
		n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT)
		if err != nil {
			return fmt.Errorf("nftables: receive: %w", err)
		}
		if n < len(answer) || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
			continue
		}
		sequence, code := binary.NativeEndian.Uint32(answer[8:]), -int32(binary.NativeEndian.Uint32(answer[16:]))
		if code != 0 && failure == nil {
			failure = fmt.Errorf("nftables: %w", unix.Errno(code))
		}
		if sequence == last || sequence == first {
			return failure
		}
	}
}
