//go:build integration

package inspect_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// What one end sends the other one receives, and nobody else; a move takes the
// counters along.
func TestCounters(t *testing.T) {
	t.Parallel()
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Pair(t, netnstest.End{Namespace: a, Name: "eth0", Addresses: []string{"10.9.0.2/24"}}, netnstest.End{Namespace: b, Name: "eth0", Addresses: []string{"10.9.0.3/24"}})
	netnstest.Pair(t, netnstest.End{Namespace: a, Name: "idle"}, netnstest.End{Namespace: b, Name: "idle"})
	of := func(ns *netns.Namespace, name string) inspect.Counters {
		t.Helper()
		all, err := netnstest.Link(t, ns).Counters()
		if err != nil {
			t.Fatal(err)
		}
		one, err := netnstest.Link(t, ns).CountersOf(name)
		if err != nil || one.Received.Packets < all[name].Received.Packets {
			t.Errorf("%s: %+v, %v, among all %+v", name, one, err, all[name])
		}
		return one
	}
	before, idle := of(b, "eth0"), of(b, "idle")
	const datagrams, size = 20, 1000
	var sender, receiver net.Conn
	netnstest.Do(t, b, func() (err error) {
		receiver, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(10, 9, 0, 3), Port: 9})
		return err
	})
	defer receiver.Close()
	netnstest.Do(t, a, func() (err error) { sender, err = net.Dial("udp", "10.9.0.3:9"); return err })
	defer sender.Close()
	_ = receiver.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for range datagrams {
		_, err := sender.Write(make([]byte, size))
		if err == nil {
			_, err = receiver.Read(make([]byte, size))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sent, got := of(a, "eth0"), of(b, "eth0").Since(before)
	for what, t1 := range map[string]resource.Traffic{"sent": sent.Sent, "received": got.Received} {
		if t1.Packets < datagrams || t1.Bytes < datagrams*size || t1.Bytes > 2*datagrams*size {
			t.Errorf("%s: %+v, want at least %d packets with %d bytes each", what, t1, datagrams, size)
		}
	}
	if got.Sent.Bytes > datagrams*size {
		t.Errorf("sent back: %+v", got.Sent)
	}
	if got := of(b, "idle").Since(idle); got.Received.Bytes > size || got.Sent.Bytes > size {
		t.Errorf("idle: %+v", got)
	}

	elsewhere := netnstest.New(t)
	if err := netnstest.Link(t, b).Move("eth0", link.Peer{Namespace: elsewhere, Name: "wire"}); err != nil {
		t.Fatal(err)
	}
	if moved := of(elsewhere, "wire"); moved.Received.Bytes < got.Received.Bytes {
		t.Errorf("after the move: %+v, before it %+v", moved, got)
	}
	if _, err := netnstest.Link(t, b).CountersOf("eth0"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("where it was: error %v", err)
	}
}
