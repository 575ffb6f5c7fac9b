//go:build integration

package ports_test

import (
	"context"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/ports"
	"patchbay.dev/patchbay/internal/netnstest"
)

// Of all that happens to links it is told that a port of its bridge has come up, and of
// which.
func TestTell(t *testing.T) {
	t.Parallel()
	host, inner := netnstest.New(t), netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "own")
	netnstest.Bridge(t, host, "other")
	own, err := h.Interface("own")
	if err != nil {
		t.Fatal(err)
	}
	news, err := ports.Watch(host, own.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := news.Gather(true); err != nil {
		t.Fatal(err)
	}
	type port struct {
		name  string
		index int
	}
	told := make(chan port, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		news.Tell(ctx, func(name string, index int) { told <- port{name, index} }, func() { t.Error("news are lost") })
	}()
	for _, p := range []struct{ bridge, port, inside string }{{"other", "port1", "eth0"}, {"own", "port2", "eth1"}} {
		if err := h.AddBridgePort(p.bridge, p.port, link.Peer{Namespace: inner, Name: p.inside}); err != nil {
			t.Fatal(err)
		}
	}
	want, err := h.Interface("port2")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case first := <-told:
		if first != (port{"port2", want.Index}) {
			t.Errorf("told of %+v, want port2 with index %d", first, want.Index)
		}
	case <-time.After(2 * time.Minute):
		t.Error("not told of a port that came up")
	}
	cancel()
	<-ended
}
