//go:build integration

package rtnl

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// TestDeleteUnheard: a container that changes its links without end has the news of an end be lost, and the answer
// with it. Who removes a link then hears of that, and can be certain all the same.
func TestDeleteUnheard(t *testing.T) {
	t.Parallel()
	sandbox, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer sandbox.Close()
	if err := sandbox.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth1"})
	}); err != nil {
		t.Fatal(err)
	}
	requests, err := Open(sandbox)
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close()
	index, err := requests.Index("eth0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := watchEnd(sandbox, index)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	const loopback = 1
	const flood = 2000 // a socket has room for some hundred
	for range flood {
		if err := requests.Do(Flags(loopback, false), Flags(loopback, true)); err != nil {
			t.Fatal(err)
		}
	}
	if err := deleteForCertain(sandbox, index); err != nil {
		t.Fatal(err)
	}
	if err := awaitEnd(socket, index, 0); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("got %v, want it to say that news were lost", err)
	}
	if err := deleteForCertain(sandbox, index); err != nil {
		t.Errorf("once more: %v", err)
	}
	if _, err := requests.Index("eth1"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("the other end: %v, want it to be gone", err)
	}
}
