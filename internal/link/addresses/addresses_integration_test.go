//go:build integration

package addresses_test

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/link/addresses"
	"patchbay.dev/patchbay/internal/netnstest"
)

// Of what happens to addresses it is told that those of the host come and go, and not of
// those of bridges.
func TestTell(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Bridge(t, host, "uplink", "192.0.2.1/24")
	netnstest.Bridge(t, host, "pb-1", "10.9.0.1/24")
	news, err := addresses.Watch(host, "pb-")
	if err != nil {
		t.Fatal(err)
	}
	type change struct {
		address netip.Addr
		here    bool
	}
	ctx, cancel := context.WithCancel(t.Context())
	first, changed, ended := make(chan []netip.Addr, 1), make(chan change, 100), make(chan struct{})
	go func() {
		defer close(ended)
		news.Tell(ctx, func(all []netip.Addr, err error) {
			if err != nil {
				t.Error(err)
			}
			first <- all
		}, func(a netip.Addr, here bool) { changed <- change{a, here} })
	}()
	if all, want := <-first, netip.MustParseAddr("192.0.2.1"); !slices.Contains(all, want) {
		t.Errorf("at first told of %v, want %v among them", all, want)
	}
	for _, command := range []string{
		"add 10.9.1.1/24 dev pb-1", "add fd09::1/64 dev pb-1 nodad", "add fd09::2/64 dev uplink nodad", "add 169.254.0.1/16 dev uplink scope link",
		"add 192.0.2.2/24 dev uplink", "del 192.0.2.2/24 dev uplink", "add 2001:db8::1/64 dev uplink nodad",
	} {
		netnstest.Do(t, host, func() error {
			return exec.Command("ip", append([]string{"address"}, strings.Fields(command)...)...).Run()
		})
	}
	for _, want := range []change{
		{netip.MustParseAddr("192.0.2.2"), true},
		{netip.MustParseAddr("192.0.2.2"), false},
		{netip.MustParseAddr("2001:db8::1"), true},
	} {
		select {
		case got := <-changed:
			if got != want {
				t.Errorf("told of %v, want %v", got, want)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("not told of %v", want)
		}
	}
	cancel()
	<-ended
}

// A name that cannot be compared is refused.
func TestWatchErrors(t *testing.T) {
	t.Parallel()
	if _, err := addresses.Watch(netnstest.New(t), "bridge"); err == nil {
		t.Error("a prefix of six letters is taken")
	}
}
