//go:build integration

package listener_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/hostnews/listener"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/subscription"
	"patchbay.dev/patchbay/resource"
)

// host is a namespace with a place of a listener.
type host struct {
	*netns.Namespace
	place hostnews.Place
	ended chan error // of the listener that the place begins
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{Namespace: netnstest.New(t), ended: make(chan error, 1)}
	h.place.Directory = t.TempDir()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // until its clients have ended, which are cleaned up before
	h.place.Begin = func() error {
		socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: h.place.Socket(), Net: "unixpacket"})
		if err == nil {
			serving.Go(func() { h.ended <- h.Do(func() error { return listener.Serve(h.place, socket, func() {}) }) })
		}
		return err
	}
	return h
}

// network is one that serves and heals until stop.
func (h *host) network(t *testing.T, id string) (n *firewall.Network, stop func()) {
	t.Helper()
	n = firewall.New(firewall.Config{Network: id, Bridge: "pb-" + id[:12], Reach: firewall.NAT, Namespace: h.Namespace, Listener: h.place})
	if err := n.Ensure(); err != nil {
		t.Fatal(err)
	}
	var watch *firewall.Watch
	netnstest.Do(t, h.Namespace, func() (err error) {
		watch, err = n.Watch()
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	var healing sync.WaitGroup
	healing.Go(func() { watch.Heal(ctx) })
	stop = sync.OnceFunc(func() { cancel(); healing.Wait() })
	t.Cleanup(stop)
	return n, stop
}

func (h *host) nft(t *testing.T, args ...string) {
	t.Helper()
	netnstest.Do(t, h.Namespace, func() error {
		out, err := exec.Command("nft", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %v: %v: %s", args, err, out)
		}
		return nil
	})
}

// subscribed counts the sockets that the kernel goes through for each piece of news.
func (h *host) subscribed(t *testing.T) int {
	t.Helper()
	var table []byte
	netnstest.Do(t, h.Namespace, func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/netlink")
		return err
	})
	count := 0
	for line := range strings.Lines(string(table)) {
		if groups, err := strconv.ParseUint(strings.Fields(line)[3], 16, 32); err == nil && groups != 0 {
			count++
		}
	}
	return count
}

func healed(t *testing.T, all ...*firewall.Network) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, n := range all {
		for len(n.Faults()) > 0 {
			select {
			case <-deadline:
				t.Fatalf("not healed: %v", n.Faults())
			case <-tick.C:
			}
		}
	}
}

const one, other = "0123456789abcdef", "fedcba9876543210"

// TestHeal: networks that subscribe to nothing repair what is removed of them, also after the
// listener that told them has gone; it goes with the last.
func TestHeal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first, stopFirst := h.network(t, one)
	second, stopSecond := h.network(t, other)
	if got := h.subscribed(t); got != 2 {
		t.Errorf("%d sockets are subscribed, want 2: the listener's", got)
	}
	for _, hurt := range [][]string{{"flush", "ruleset"}, {"flush", "set", "inet", "patchbay", "bridges"}, {"flush", "chain", "inet", "patchbay", "from-nat"}} {
		h.nft(t, hurt...)
		healed(t, first, second)
	}
	stopFirst()
	h.nft(t, "flush", "ruleset")
	healed(t, second)
	stopSecond()
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.place.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if got := h.subscribed(t); got != 0 {
		t.Errorf("%d sockets are subscribed when all have ended", got)
	}
}

// TestAlone: who loses its listener looks, and hears the kernel itself.
func TestAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	accepted := make(chan *net.UnixConn, 1)
	h.place.Begin = func() error { // a listener that says it is ready and then tells nothing
		socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: h.place.Socket(), Net: "unixpacket"})
		if err != nil {
			return err
		}
		t.Cleanup(func() { socket.Close() })
		go func() {
			c, err := socket.AcceptUnix()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte{16, 0, 0, 0, byte(hostnews.Ready), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			accepted <- c
		}()
		return nil
	}
	n, _ := h.network(t, one)
	c := <-accepted
	h.nft(t, "flush", "ruleset")
	if len(n.Faults()) == 0 {
		t.Fatal("the network is healed by who has not been told")
	}
	c.Close()
	healed(t, n)
	h.nft(t, "flush", "ruleset")
	healed(t, n)
}

// TestPicks: each is told of what is its own, and of what its own process removes not at all.
func TestPicks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	open := func(i hostnews.Interest) *hostnews.Source {
		var s *hostnews.Source
		netnstest.Do(t, h.Namespace, func() (err error) {
			s, err = hostnews.Open(h.place, i, func() (*subscription.Subscription, error) { return nil, errors.New("no listener") })
			return err
		})
		t.Cleanup(s.Close)
		return s
	}
	removals, foreign := open(hostnews.Interest{Table: firewall.TableName, Owner: one}), open(hostnews.Interest{Table: firewall.TableName, Owner: other})
	subnet := open(hostnews.Interest{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}})

	n := firewall.New(firewall.Config{Network: one, Bridge: "pb-" + one[:12], Reach: firewall.NAT, Namespace: h.Namespace})
	if err := errors.Join(n.Ensure(), n.Admit(firewall.Port{Interface: "pbp0", Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.2")}})); err != nil {
		t.Fatal(err)
	}
	h.nft(t, "flush", "set", "inet", "patchbay", "bridges")
	netnstest.Bridge(t, h.Namespace, "br0", "10.8.0.1/24", "10.9.0.1/24")
	h.nft(t, "delete", "table", "inet", "patchbay")

	together := 0 // messages of the datagram that had most
	kinds := func(s *hostnews.Source, last uint16) (all []uint16) {
		for len(all) == 0 || all[len(all)-1] != last {
			messages, err := s.Receive()
			if err != nil {
				t.Fatal(err)
			}
			together = max(together, len(messages))
			for _, m := range messages {
				all = append(all, m.Header.Type)
			}
		}
		return all
	}
	const nft = unix.NFNL_SUBSYS_NFTABLES << 8
	if all := kinds(removals, nft|unix.NFT_MSG_DELTABLE); all[0] != nft|unix.NFT_MSG_DELSETELEM {
		t.Errorf("the network is told of %x, want the removal of its element first", all)
	}
	if all := kinds(foreign, nft|unix.NFT_MSG_DELTABLE); all[0] == nft|unix.NFT_MSG_DELSETELEM {
		t.Errorf("another network is told of %x, also of an element", all)
	}
	if together < 2 {
		t.Error("each message comes by itself, and wakes who is told")
	}
	messages, err := subnet.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := rtnl.PrefixOf(messages[0]); p != netip.MustParsePrefix("10.9.0.0/24") {
		t.Errorf("who asks for 10.9.0.0/24 is told of %v", p)
	}
}

// TestSendsAway: a listener has no ear for another version and another namespace, which then
// hear the kernel.
func TestSendsAway(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	_, _ = h.network(t, one)
	for what, wish := range map[string]hostnews.Interest{
		"version":   {Version: hostnews.Version + 1},
		"namespace": {Version: hostnews.Version, Namespace: 1},
	} {
		s, err := subscription.Dial(h.place.Socket())
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(wish)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(data); err != nil {
			t.Fatal(err)
		}
		if messages, err := s.Receive(); err == nil {
			t.Errorf("another %s: is answered %v", what, messages)
		}
		s.Close()
	}
}

// TestWatchers: of each process one client is asked to watch the listener, another one when that ends,
// and who asks is answered.
func TestWatchers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	_, stop := h.network(t, one) // begins the listener
	var s [2]*subscription.Subscription
	say := func(s *subscription.Subscription, i hostnews.Interest) {
		t.Helper()
		i.Version = hostnews.Version
		netnstest.Do(t, h.Namespace, func() (err error) {
			i.Namespace, err = hostnews.Namespace()
			return err
		})
		data, err := json.Marshal(i)
		if err == nil {
			err = s.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(messages []syscall.NetlinkMessage, kind uint16) {
		t.Helper()
		if messages[0].Header.Type != kind {
			t.Fatalf("heard %+v, want one of type %d", messages, kind)
		}
		if pid := messages[0].Header.Pid; kind == hostnews.Watch && pid != uint32(os.Getpid()) {
			t.Errorf("process %d is to be watched, want that of the listener, %d", pid, os.Getpid())
		}
	}
	hear := func(s *subscription.Subscription, kind uint16) {
		t.Helper()
		if err := s.Bound(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		messages, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		check(messages, kind)
	}
	for i := range s {
		var err error
		if s[i], err = subscription.Dial(h.place.Socket()); err != nil {
			t.Fatal(err)
		}
		say(s[i], hostnews.Interest{})
		hear(s[i], hostnews.Ready)
		say(s[i], hostnews.Interest{Question: true})
		hear(s[i], hostnews.Ready) // the network's own client is of the same process
	}
	stop()
	watcher, other := s[0], s[1]
	for limit := time.Now().Add(2 * time.Minute); ; watcher, other = other, watcher {
		if err := watcher.Bound(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		messages, err := watcher.Receive()
		if err == nil {
			check(messages, hostnews.Watch)
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(limit) {
			t.Fatalf("neither is told to watch: %v", err)
		}
	}
	watcher.Close()
	hear(other, hostnews.Watch)
	other.Close()
}

// TestAnswers: a listener knows all that has happened to its host before it was asked, and what
// comes later is told.
func TestAnswers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	links := netnstest.Link(t, h.Namespace)
	netnstest.Bridge(t, h.Namespace, "br0", "10.7.0.1/24")
	raw, err := rtnl.Open(h.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	bridge, err := links.Index("br0")
	if err != nil {
		t.Fatal(err)
	}
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")}
	ask := func(what string, vacant, uplink bool) *hostnews.Source {
		t.Helper()
		index := 0
		if uplink {
			index = bridge
		}
		var s *hostnews.Source
		var got hostnews.Answer
		netnstest.Do(t, h.Namespace, func() (err error) {
			s, got, err = hostnews.Ask(h.place, hostnews.Interest{Prefixes: subnets}, nil)
			return err
		})
		if want := (hostnews.Answer{Vacant: vacant, Gateway: index}); got != want {
			t.Errorf("%s: the answer is %+v, want %+v", what, got, want)
		}
		t.Cleanup(s.Close)
		return s
	}
	first := ask("first", true, false)
	for _, address := range []string{"10.9.0.77/32", "fd09::77/128"} {
		p := []netip.Prefix{netip.MustParsePrefix(address)}
		if err := links.Configure("br0", p, nil); err != nil {
			t.Fatal(err)
		}
		ask("with "+address, false, false)
		if err := raw.Do(rtnl.Address(unix.RTM_DELADDR, bridge, p[0])); err != nil {
			t.Fatal(err)
		}
		ask("without it", true, false)
	}
	wide := resource.Route{Destination: netip.MustParsePrefix("10.8.0.0/15"), Gateway: netip.MustParseAddr("10.7.0.9")}
	outside := resource.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.7.0.9")}
	if err := links.Configure("br0", nil, []resource.Route{wide, outside}); err != nil {
		t.Fatal(err)
	}
	ask("with a route and a default route", false, true)
	if err := links.SetDown("br0"); err != nil { // takes both without a word
		t.Fatal(err)
	}
	ask("with the link down", true, false)

	want := []string{"10.9.0.77/32", "fd09::77/128", "10.8.0.0/15"}
	for len(want) > 0 { // in their order
		messages, err := first.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if p, _ := rtnl.PrefixOf(m); len(want) > 0 && p.String() == want[0] {
				want = want[1:]
			}
		}
	}
}

// TestHasNoAnswer: of a listener of an earlier release nothing is learned.
func TestHasNoAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.place.Begin = func() error {
		socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: h.place.Socket(), Net: "unixpacket"})
		if err != nil {
			return err
		}
		t.Cleanup(func() { socket.Close() })
		go func() {
			if c, err := socket.AcceptUnix(); err == nil {
				_, _ = c.Write([]byte{16, 0, 0, 0, byte(hostnews.Ready), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			}
		}()
		return nil
	}
	for _, place := range []hostnews.Place{h.place, {}} {
		if _, answer, err := hostnews.Ask(place, hostnews.Interest{}, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %+v, %v, want no answer", answer, err)
		}
	}
}
