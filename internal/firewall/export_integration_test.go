//go:build integration

package firewall

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Pending reports whether there is something to receive.
func (w *Watch) Pending() bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(w.socket.GetFd(), b[:], unix.MSG_DONTWAIT|unix.MSG_PEEK)
	return err != nil && !errors.Is(err, unix.EAGAIN) || n > 0
}

// Close ends the watch.
func (w *Watch) Close() { w.socket.Close() }
