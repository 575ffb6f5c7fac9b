//go:build integration

package sandboxtest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/tapstream"
	"patchbay.dev/patchbay/resource"
)

// world is a host with networks of every strategy, each with a neighbour that a
// sandbox can reach.
type world struct {
	host     *netns.Namespace
	links    *link.Handle
	dir      string
	networks []network
}

// network is one network of a world. That at place n has 10.9.n.0/24 and
// fd00:9:n::/64, and its neighbour the first address of each.
type network struct {
	place      int
	strategy   string
	parameters any
	neighbour  *netns.Namespace
}

// bridgeOf is the bridge of the network at a place.
func bridgeOf(place int) string { return fmt.Sprintf("br%d", place) }

// newWorld makes a network for each of the strategies, and one more bridge: for
// what is done while a sandbox lives.
func newWorld(t *testing.T, strategies []string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pbw") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{host: netnstest.New(t), dir: dir}
	w.links = netnstest.Link(t, w.host)
	for place, s := range append(slices.Clone(strategies), resource.StrategyBridgePort) {
		n := w.network(t, place, s)
		if far := farAddresses(); n.neighbour != w.host || place == 0 {
			if err := netnstest.Link(t, n.neighbour).Configure("lo", []netip.Prefix{far[0], far[1]}, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.networks = append(w.networks, n)
	}
	return w
}

// farAddresses are addresses beyond the gateway of every network: each neighbour
// has them, so that an answer by another way than the question's is not heard.
func farAddresses() [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix("203.0.113.1/32"), netip.MustParsePrefix("2001:db8:77::1/128")}
}

func addressesAt(place, host int) []string {
	return []string{fmt.Sprintf("10.9.%d.%d/24", place, host), fmt.Sprintf("fd00:9:%d::%d/64", place, host)}
}

func (w *world) network(t *testing.T, place int, strategy string) network {
	t.Helper()
	n := network{place: place, strategy: strategy}
	neighbour := addressesAt(place, 1)
	switch strategy {
	case resource.StrategyBridgePort:
		netnstest.Bridge(t, w.host, bridgeOf(place), neighbour...)
		n.neighbour, n.parameters = w.host, resource.BridgePortParameters{Bridge: bridgeOf(place), Port: fmt.Sprintf("port%d", place)}
	case resource.StrategyMacvlan:
		n.neighbour = netnstest.New(t)
		netnstest.Pair(t, netnstest.End{Namespace: w.host, Name: "up0"}, netnstest.End{Namespace: n.neighbour, Name: "lan0", Addresses: neighbour})
		n.parameters = resource.MacvlanParameters{Parent: "up0", Mode: resource.MacvlanBridge}
	case resource.StrategyHostDevice:
		n.neighbour = netnstest.New(t)
		netnstest.Pair(t, netnstest.End{Namespace: w.host, Name: "spare0"}, netnstest.End{Namespace: n.neighbour, Name: "wire0", Addresses: neighbour})
		n.parameters = resource.HostDeviceParameters{Device: "spare0", MAC: resource.MACAddress(macAt(place))}
	case resource.StrategyTapStream:
		n.neighbour = netnstest.New(t)
		socket := filepath.Join(w.dir, "frames.sock")
		serveFrames(t, n.neighbour, socket, neighbour)
		n.parameters = resource.TapStreamParameters{Socket: socket}
	default:
		t.Fatalf("strategy %q: the suite has no network for it", strategy)
	}
	return n
}

// serveFrames carries frames between a socket and a tap of a namespace.
func serveFrames(t *testing.T, ns *netns.Namespace, socket string, addresses []string) {
	t.Helper()
	tap, err := link.AddTap(link.Peer{Namespace: ns, Name: "tap0"})
	if err != nil {
		t.Fatal(err)
	}
	var prefixes []netip.Prefix
	for _, a := range addresses {
		prefixes = append(prefixes, netip.MustParsePrefix(a))
	}
	if err := netnstest.Link(t, ns).Configure("tap0", prefixes, nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var current net.Conn // guarded by mu
	running.Go(func() {
		frame := make([]byte, tapstream.HeaderLength+tapstream.MaxFrame)
		for {
			n, err := tap.Read(frame[tapstream.HeaderLength:])
			if err != nil {
				return
			}
			tapstream.PutHeader(frame, n)
			mu.Lock()
			if current != nil {
				_, _ = current.Write(frame[:tapstream.HeaderLength+n]) // who is gone misses it
			}
			mu.Unlock()
		}
	})
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			current = c
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				for r := tapstream.NewReader(c); ; {
					frame, err := r.Next()
					if err != nil {
						return
					}
					_, _ = tap.Write(frame)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		tap.Close()
		mu.Lock()
		if current != nil {
			current.Close()
		}
		mu.Unlock()
		running.Wait()
	})
}

func macAt(place int) string { return fmt.Sprintf("02:00:00:00:%02x:02", place) }

func key(h *Helper, place int) string { return fmt.Sprintf("%s/%d", h.ID, place) }

// attachment is what the network at a place gives to the helper's sandbox.
func (w *world) attachment(t *testing.T, h *Helper, p *plugin, place int) *typesv1.AllocatedAttachment {
	t.Helper()
	n := w.networks[place]
	data, err := json.Marshal(n.parameters)
	if err != nil {
		t.Fatal(err)
	}
	own := addressesAt(place, 2)
	return &typesv1.AllocatedAttachment{
		Attachment: &typesv1.Attachment{
			NetworkId: fmt.Sprintf("%016x", place), Network: fmt.Sprintf("net%d", place),
			Ipv4Address: own[0], Ipv4Gateway: fmt.Sprintf("10.9.%d.1", place),
			Ipv6Address: own[1], Ipv6Gateway: fmt.Sprintf("fd00:9:%d::1", place),
			MacAddress: macAt(place), Mtu: 1400,
		},
		Plugin:         &typesv1.PluginInfo{Plugin: "fake", Variant: "only"},
		Strategy:       n.strategy,
		AdditionalData: data,
		Lease:          &typesv1.LeaseReference{Key: key(h, place), Socket: p.socket},
	}
}

// tries is how often a neighbour asks: a frame may be lost while bridges and
// neighbours learn where an address is.
const tries = 10

// wantReached wants that the sandbox's neighbour on a network reaches it, by both
// families.
func (n network) wantReached(t *testing.T) {
	t.Helper()
	n.reach(t, "", "")
}

// wantAnswered wants that questions from afar, which came in by this network, are
// answered by it too, wherever the default route leads.
func (n network) wantAnswered(t *testing.T) {
	t.Helper()
	far := farAddresses()
	n.reach(t, far[0].Addr().String(), far[1].Addr().String())
}

// reach asks from an address of each family; "": from the neighbour's own.
func (n network) reach(t *testing.T, from ...string) {
	t.Helper()
	for i, address := range addressesAt(n.place, 2) {
		to, err := netip.MustParsePrefix(address).Addr().String(), error(nil)
		for range tries {
			if err = netnstest.Ping(n.neighbour, to, from[i], 2*time.Second); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("network %d (%s), from %q: %v", n.place, n.strategy, from[i], err)
		}
	}
}

// wantPorts waits until a bridge has as many ports: the kernel takes those of a
// namespace that is gone off by itself.
func (w *world) wantPorts(t *testing.T, bridge string, want int) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ports, err := w.links.Ports(bridge)
		if err != nil {
			t.Fatal(err)
		}
		if len(ports) == want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("bridge %s has ports %v, want %d", bridge, ports, want)
		}
	}
}
