package connection

import (
	"encoding/binary"
	"fmt"
	"io"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// wire sends the messages of a transaction that asks for nothing, and has one answer to all of
// it if it succeeds. The library asks for one to each message and reads each of them by two
// calls, with a new buffer of 4 KiB. It lets its socket be replaced, for tests; what it
// encodes, and what it makes of errors, is the same.
type wire struct{ raw syscall.RawConn } // of the library's own socket

// take is a nftables.SockOption.
func (w *wire) take(conn *netlink.Conn) (err error) {
	w.raw, err = conn.SyscallConn()
	return err
}

// exchange is a nltest.Func: it sends a transaction and returns no messages but the first
// error, or that there is nothing to come, io.EOF. Without messages it is asked for what there is.
func (w *wire) exchange(messages []netlink.Message) ([]netlink.Message, error) {
	if len(messages) == 0 {
		return nil, io.EOF
	}
	last := len(messages) - 2 // the last but the end of the transaction
	size := 0
	for _, m := range messages {
		size += unix.NLMSG_HDRLEN + len(m.Data) + unix.NLMSG_ALIGNTO
	}
	out := make([]byte, 0, size)
	for i, m := range messages {
		m.Header.PID = 0
		if i != last {
			m.Header.Flags &^= netlink.Acknowledge
		}
		encoded, err := m.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out = append(out, encoded...)
	}
	var failure error
	err := w.raw.Control(func(fd uintptr) {
		failure = transact(int(fd), out, messages[0].Header.Sequence, messages[last].Header.Sequence)
	})
	if err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	return nil, io.EOF
}

// transact sends a transaction, whose answers are there when that returns: that to its last
// message, and before it an error of each that failed. What the kernel says of the first
// message is said of the whole (nfnetlink_rcv_batch of net/netfilter/nfnetlink.c).
func transact(fd int, out []byte, first, last uint32) error {
	if err := unix.Sendto(fd, out, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	var failure error
	for {
		var answer [unix.SizeofNlMsghdr + 4]byte // without the message that it is to
		n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if n < len(answer) || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
			continue
		}
		sequence, code := binary.NativeEndian.Uint32(answer[8:]), -int32(binary.NativeEndian.Uint32(answer[16:]))
		if code != 0 && failure == nil {
			failure = unix.Errno(code)
		}
		if sequence == last || sequence == first {
			return failure
		}
	}
}
