//go:build integration

// Package world is what runtimes of the contract suite meet: a host with networks of every
// strategy, neighbours on them, and a plugin that gives leases.
package world

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

// Patience bounds every call and every wait: far longer than any of them takes.
const Patience = 2 * time.Minute

// World is a host with networks of every strategy, each with a neighbour that a
// sandbox can reach.
type World struct {
	Host     *netns.Namespace
	links    *link.Handle
	Dir      string // for sockets
	Networks []Network
}

// Network is one network of a world. That at place n has 10.9.n.0/24 and
// fd00:9:n::/64, and its neighbour the first address of each.
type Network struct {
	place      int
	strategy   string
	parameters any
	neighbour  *netns.Namespace
}

// BridgeOf is the bridge of the network at a place.
func BridgeOf(place int) string { return fmt.Sprintf("br%d", place) }

// portOf is the port of that bridge that the sandbox is to have.
func portOf(place int) string { return fmt.Sprintf("port%d", place) }

// New makes a network for each of the strategies, and one more bridge: for
// what is done while a sandbox lives.
func New(t *testing.T, strategies []string) *World {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pbw") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &World{Host: netnstest.New(t), Dir: dir}
	w.links = netnstest.Link(t, w.Host)
	for place, s := range append(slices.Clone(strategies), resource.StrategyBridgePort) {
		n := w.network(t, place, s)
		if far := farAddresses(); n.neighbour != w.Host || place == 0 {
			if err := netnstest.Link(t, n.neighbour).Configure("lo", []netip.Prefix{far[0], far[1]}, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.Networks = append(w.Networks, n)
	}
	return w
}

// farAddresses are addresses beyond the gateway of every network: each neighbour
// has them, so that an answer by another way than the question's is not heard.
func farAddresses() [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix("203.0.113.1/32"), netip.MustParsePrefix("2001:db8:77::1/128")}
}

// AddressesAt are those of a host on the network at a place: 1 is the neighbour, 2 the
// sandbox.
func AddressesAt(place, host int) []string {
	return []string{fmt.Sprintf("10.9.%d.%d/24", place, host), fmt.Sprintf("fd00:9:%d::%d/64", place, host)}
}

func (w *World) network(t *testing.T, place int, strategy string) Network {
	t.Helper()
	n := Network{place: place, strategy: strategy}
	neighbour := AddressesAt(place, 1)
	switch strategy {
	case resource.StrategyBridgePort:
		netnstest.Bridge(t, w.Host, BridgeOf(place), neighbour...)
		n.neighbour, n.parameters = w.Host, resource.BridgePortParameters{Bridge: BridgeOf(place), Port: portOf(place)}
	case resource.StrategyMacvlan:
		n.neighbour = netnstest.New(t)
		netnstest.Pair(t, netnstest.End{Namespace: w.Host, Name: "up0"}, netnstest.End{Namespace: n.neighbour, Name: "lan0", Addresses: neighbour})
		n.parameters = resource.MacvlanParameters{Parent: "up0", Mode: resource.MacvlanBridge}
	case resource.StrategyHostDevice:
		n.neighbour = netnstest.New(t)
		netnstest.Pair(t, netnstest.End{Namespace: w.Host, Name: "spare0"}, netnstest.End{Namespace: n.neighbour, Name: "wire0", Addresses: neighbour})
		n.parameters = resource.HostDeviceParameters{Device: "spare0", MAC: resource.MACAddress(MACAt(place))}
	case resource.StrategyDelegated: // its plugin makes a port of a bridge
		netnstest.Bridge(t, w.Host, BridgeOf(place), neighbour...)
		n.neighbour, n.parameters = w.Host, "the plugin's own business"
	case resource.StrategyTapStream:
		n.neighbour = netnstest.New(t)
		socket := filepath.Join(w.Dir, "frames.sock")
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

// MACAt is the MAC address of the sandbox on the network at a place.
func MACAt(place int) string { return fmt.Sprintf("02:00:00:00:%02x:02", place) }

// Key is that of the lease of a sandbox on the network at a place.
func Key(sandbox string, place int) string { return fmt.Sprintf("%s/%d", sandbox, place) }

// Attachment is what the network at a place gives to a sandbox.
func (w *World) Attachment(t *testing.T, sandbox string, p *Plugin, place int) *typesv1.AllocatedAttachment {
	t.Helper()
	n := w.Networks[place]
	data, err := json.Marshal(n.parameters)
	if err != nil {
		t.Fatal(err)
	}
	own := AddressesAt(place, 2)
	attachment := &typesv1.Attachment{
		NetworkId: fmt.Sprintf("%016x", place), Network: fmt.Sprintf("net%d", place),
		Ipv4Address: own[0], Ipv4Gateway: fmt.Sprintf("10.9.%d.1", place),
		Ipv6Address: own[1], Ipv6Gateway: fmt.Sprintf("fd00:9:%d::1", place),
		MacAddress: MACAt(place), Mtu: 1400,
	}
	p.delegate(Key(sandbox, place), delegation{links: w.links, bridge: BridgeOf(place), port: portOf(place), attachment: attachment})
	return &typesv1.AllocatedAttachment{
		Attachment:     attachment,
		Plugin:         &typesv1.PluginInfo{Plugin: "fake", Variant: "only"},
		Strategy:       n.strategy,
		AdditionalData: data,
		Lease:          &typesv1.LeaseReference{Key: Key(sandbox, place), Socket: p.socket},
	}
}

// tries is how often a neighbour asks: a frame may be lost while bridges and
// neighbours learn where an address is.
const tries = 10

// WantReached wants that the sandbox's neighbour on a network reaches it, by both
// families.
func (n Network) WantReached(t *testing.T) {
	t.Helper()
	n.reach(t, "", "")
}

// WantAnswered wants that questions from afar, which came in by this network, are
// answered by it too, wherever the default route leads.
func (n Network) WantAnswered(t *testing.T) {
	t.Helper()
	far := farAddresses()
	n.reach(t, far[0].Addr().String(), far[1].Addr().String())
}

// reach asks from an address of each family; "": from the neighbour's own.
func (n Network) reach(t *testing.T, from ...string) {
	t.Helper()
	for i, address := range AddressesAt(n.place, 2) {
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

// WantPorts waits until a bridge has as many ports: the kernel takes those of a
// namespace that is gone off by itself.
func (w *World) WantPorts(t *testing.T, bridge string, want int) {
	t.Helper()
	limit := time.After(Patience)
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
