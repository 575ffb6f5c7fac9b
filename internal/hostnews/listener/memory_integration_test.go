//go:build integration

package listener_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/netnstest"
)

// TestMemoryOfAClient: who waits for news costs a listener little, since there are two for each
// network of a host. It is no parallel test: it looks at the memory of the whole process.
func TestMemoryOfAClient(t *testing.T) {
	const clients, limit = 200, 8 << 10 // bytes
	h := newHost(t)
	var here uint64
	netnstest.Do(t, h.Namespace, func() (err error) {
		here, err = hostnews.Namespace()
		return err
	})
	if err := h.place.Begin(); err != nil {
		t.Fatal(err)
	}
	dial := func(i int) { // by the kernel's means alone, so that the memory is the listener's
		t.Helper()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: h.place.Socket()}); err != nil {
			t.Fatal(err)
		}
		wish, err := json.Marshal(hostnews.Interest{
			Version: hostnews.Version, Namespace: here,
			Prefixes: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.9.%d.0/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd09:%x::/64", i))},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, wish); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(fd, make([]byte, 4096)); err != nil || n == 0 { // it is heard for
			t.Fatalf("client %d: reads %d bytes: %v", i, n, err)
		}
	}
	used := func() uint64 {
		for range 2 { // the second one frees what the first one found, and shrinks stacks
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	dial(0)
	before := used()
	for i := range clients {
		dial(1 + i)
	}
	if each := (int64(used()) - int64(before)) / clients; each > limit {
		t.Errorf("a client takes %d bytes of its listener, want at most %d", each, limit)
	} else {
		t.Logf("a client takes %d bytes of its listener", each)
	}
}
