package networks

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// gate is where plugins that are "gated" wait.
type gate struct {
	t        *testing.T
	path     string
	arrivals *os.File
}

func (b *bench) gate(name string) gate {
	b.t.Helper()
	host := filepath.Join(b.roots.RunRoot, "host")
	for _, path := range []string{host + "-at-" + name, host + "-gate-" + name} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	arrivals, err := os.OpenFile(host+"-at-"+name, os.O_RDWR, 0) // it is never at its end then
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { arrivals.Close() })
	return gate{b.t, host + "-gate-" + name, arrivals}
}

// await returns when so many have arrived.
func (g gate) await(count int) {
	g.t.Helper()
	if _, err := io.ReadFull(g.arrivals, make([]byte, count)); err != nil {
		g.t.Fatal(err)
	}
}

// open lets all through from now on.
func (g gate) open() {
	g.t.Helper()
	open, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { open.Close() })
}

// Of many networks sixteen are brought up at a time, and taken off the host in the end.
func TestSixteenAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good", "gated")
	b.defaultID()
	start, stop := b.gate("start"), b.gate("stop")
	const many = atOnce + 4
	for i := range many {
		id := resource.NewID()
		n := resource.StoredNetwork{
			Metadata: resource.Metadata{ID: id, Name: fmt.Sprint("n", i)},
			Configuration: resource.NetworkConfiguration{
				Plugin:     resource.PluginInfo{Plugin: "gated", Variant: "a"},
				IPv4Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 201, byte(i), 0}), 24), // chosen ones collide
			},
		}
		if err := b.service.config.Records.Put(id, n); err != nil {
			t.Fatal(err)
		}
	}
	b.crash()
	b.open()
	count := func(of func(*network) bool) (count int) {
		for _, n := range b.service.all() {
			if n.name != "default" && of(n) {
				count++
			}
		}
		return count
	}

	start.await(atOnce)
	if got := count(func(n *network) bool { return n.launches.Load() > 0 }); got != atOnce {
		t.Errorf("%d plugins are started before any of them serves, want %d", got, atOnce)
	}
	start.open()
	start.await(many - atOnce)
	for i := range many {
		b.await(fmt.Sprint("n", i), isReady)
	}

	ended := make(chan error, 1)
	go func() { ended <- b.service.StopAll(t.Context()) }()
	stop.await(atOnce)
	if got := count((*network).isUnsupervised); got != atOnce {
		t.Errorf("%d plugins are ended before any of them has, want %d", got, atOnce)
	}
	stop.open()
	stop.await(many - atOnce)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (n *network) isUnsupervised() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}
