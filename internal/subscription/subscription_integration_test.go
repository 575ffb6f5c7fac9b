//go:build integration

package subscription_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/subscription"
)

// TestReceive: of a group is told as long as it is joined, and messages come whole, however
// long they are.
func TestReceive(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	s, err := subscription.Open(host, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	netnstest.Bridge(t, host, "br0")
	messages, err := s.Receive()
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.RTM_NEWLINK || !strings.Contains(string(messages[0].Data), "br0\x00") {
		t.Errorf("got %v, %v, want the news of br0", messages, err)
	}
	for netnstest.Pending(s) {
		if _, err := s.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Leave(unix.RTNLGRP_LINK); err != nil {
		t.Fatal(err)
	}
	netnstest.Bridge(t, host, "br1")
	if netnstest.Pending(s) {
		t.Error("is told of a group that was left")
	}
}

// TestLost: who does not receive for a while is told that something was lost, once.
func TestLost(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	s, err := subscription.Open(host, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"br0", "br1", "br2", "br3", "br4", "br5", "br6", "br7"} {
		netnstest.Bridge(t, host, name)
	}
	var lost int
	for lost == 0 || netnstest.Pending(s) {
		if _, err := s.Receive(); errors.Is(err, unix.ENOBUFS) {
			lost++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if lost != 1 {
		t.Errorf("told %d times of a loss, want once", lost)
	}
}

// TestWaitingTakesLittle: neither a buffer nor a large stack for each that waits.
func TestWaitingTakesLittle(t *testing.T) {
	const many = 50
	host := netnstest.New(t)
	ended := make(chan error, many)
	var all []*subscription.Subscription
	before := inUse()
	for range many {
		s, err := subscription.Open(host, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		go func() {
			_, err := s.Receive()
			ended <- err
		}()
	}
	for waiting := 0; waiting < many; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		waiting = strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "subscription.(*Subscription).Receive(")
	}
	if each := (inUse() - before) / many; each > 16<<10 {
		t.Errorf("each that waits takes %d bytes, want at most 16 KiB", each)
	}
	for _, s := range all {
		s.Close()
	}
	for range many {
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v after Close, want closed", err)
		}
	}
}

// inUse is what goroutines and the heap take, in bytes.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // far below
}
