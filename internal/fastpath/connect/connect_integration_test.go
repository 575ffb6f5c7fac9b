//go:build integration

package connect_test

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/fastpath/connect"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

func open(t testing.TB, ns *netns.Namespace) (p *connect.Path) {
	t.Helper()
	netnstest.Do(t, ns, func() (err error) { p, err = connect.Open(100); return err })
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// loopbackUp makes a namespace with a loopback interface.
func loopbackUp(t testing.TB) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	netnstest.Do(t, ns, func() error { return exec.Command("ip", "link", "set", "lo", "up").Run() })
	return ns
}

// BenchmarkOpen is what a network's first published port costs.
func BenchmarkOpen(b *testing.B) {
	ns := netnstest.New(b)
	for b.Loop() {
		netnstest.Do(b, ns, func() error {
			p, err := connect.Open(16 << 10)
			if err == nil {
				err = p.Close()
			}
			return err
		})
	}
}

// BenchmarkConnect is a connection that is refused, of a namespace that has a path and of
// another one, beside paths of others.
func BenchmarkConnect(b *testing.B) {
	for _, paths := range []int{0, 1, 8, 32} {
		for _, own := range []bool{false, true} {
			b.Run(fmt.Sprintf("paths=%d/own=%v", paths, own), func(b *testing.B) {
				ns := loopbackUp(b)
				for i := range paths {
					at := ns
					if !own || i > 0 {
						at = netnstest.New(b)
					}
					open(b, at)
				}
				netnstest.Do(b, ns, func() error {
					to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
					fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					defer unix.Close(fd)
					for b.Loop() {
						if err := unix.Connect(fd, to); !errors.Is(err, unix.ECONNREFUSED) {
							return err
						}
					}
					return nil
				})
			})
		}
	}
}
