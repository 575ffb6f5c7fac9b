//go:build integration

package netnstest

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Wire is an interface seen by a packet(7) socket: whole Ethernet frames.
type Wire struct {
	fd int
}

// OpenWire opens the interface inside ns until the test ends. It hears all frames
// that come in from now on, whoever they are for, and not those that go out.
func OpenWire(t testing.TB, ns *netns.Namespace, name string) *Wire {
	t.Helper()
	fd := -1
	Do(t, ns, func() (err error) {
		nic, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return err
		}
		everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: nic.Index})
	})
	t.Cleanup(func() { unix.Close(fd) })
	return &Wire{fd: fd}
}

// Send puts a frame on the wire.
func (w *Wire) Send(frame []byte) error {
	_, err := unix.Write(w.fd, frame)
	return err
}

// Await reads frames up to the first that is wanted and reports whether one
// came in time.
func (w *Wire) Await(wanted func(frame []byte) bool, timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	frame := make([]byte, 1<<16)
	for left := timeout; left > 0; left = time.Until(deadline) {
		tv := unix.NsecToTimeval(max(left, time.Microsecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return false, err
		}
		n, _, err := unix.Recvfrom(w.fd, frame, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, err
		}
		if wanted(frame[:n]) {
			return true, nil
		}
	}
	return false, nil
}
