// Package userstack is a router in user space: what containers send to the
// outside ends in it, and goes on by sockets of the process that it is in, as if the
// process had sent it. The host's network has no part in it but those sockets.
//
// TCP and UDP go by the stack of gVisor, one connection of the host for each
// of the container; ICMP goes as far as echo requests and their answers.
package userstack

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// nic is the stack's only interface.
const nic tcpip.NICID = 1

// Limits of TCP. The buffers of a connection grow with its round trip, up to these.
const (
	tcpBuffer  = 256 << 10
	tcpMost    = 768 << 10 // what is on its way fits the queue of the container
	tcpBacklog = 1024      // connections that wait for the host to connect
)

// Config is what a Stack is made of.
type Config struct {
	MAC resource.MACAddress // of the gateway
	MTU int
	// Gateways are the router's own addresses, at most one of each family.
	Gateways []netip.Addr
	// Send gives a frame, in parts, to the container with that MAC address. The
	// parts are the caller's again when it returns.
	Send func(to MAC, parts ...[]byte)
	// Reach says which address of the host's network is meant by one that a
	// container sends to, or why there is none.
	Reach func(netip.Addr) (netip.Addr, error)
	// Outside is the network namespace of the outside's sockets; nil: the process's.
	Outside *netns.Namespace
}

// MAC is an Ethernet address.
type MAC = [6]byte

// Stack is a running router. It must be closed.
type Stack struct {
	config Config
	mac    MAC
	net    *stack.Stack
	link   *endpoint
	echoes *echoes

	mu         sync.Mutex
	closed     bool                  // guarded by mu
	neighbours map[netip.Addr]*flows // guarded by mu
	running    sync.WaitGroup        // of flows; added to with mu held and not closed
}

// New starts a router without neighbours.
func New(c Config) (*Stack, error) {
	hw := c.MAC.HardwareAddr()
	if len(hw) != len(MAC{}) {
		return nil, fmt.Errorf("mac address %q: want one of Ethernet: %w", c.MAC, errdefs.ErrInvalidArgument)
	}
	s := &Stack{config: c, mac: MAC(hw), neighbours: map[netip.Addr]*flows{}}
	s.net = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			arp.NewProtocol, ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6.Options{}), // no router solicitations, no addresses of its own making
		},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	s.link = &endpoint{send: c.Send, mac: s.mac}
	s.SetMTU(c.MTU)
	s.echoes = newEchoes(s)
	if err := s.configure(); err != nil {
		s.net.Destroy()
		return nil, fmt.Errorf("user-mode stack: %w: %s", errdefs.ErrInternal, err)
	}
	return s, nil
}

func (s *Stack) configure() tcpip.Error {
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcpBuffer, Max: tcpMost}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcpBuffer, Max: tcpMost}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &receive, &send} {
		if err := s.net.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return err
		}
	}
	s.net.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.net, 0, tcpBacklog, s.acceptTCP).HandlePacket)
	s.net.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s.net, s.acceptUDP).HandlePacket)
	s.net.SetTransportProtocolHandler(icmp.ProtocolNumber4, s.echoes.handle)
	s.net.SetTransportProtocolHandler(icmp.ProtocolNumber6, s.echoes.handle)
	if err := s.net.CreateNIC(nic, s.link); err != nil {
		return err
	}
	for _, gateway := range s.config.Gateways {
		if err := s.net.AddProtocolAddress(nic, protocolAddress(gateway), stack.AddressProperties{}); err != nil {
			return err
		}
	}
	// It takes packets for all addresses, and answers under them.
	if err := s.net.SetPromiscuousMode(nic, true); err != nil {
		return err
	}
	if err := s.net.SetSpoofing(nic, true); err != nil {
		return err
	}
	s.net.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	return nil
}

// SetMTU changes the longest packet that the router sends.
func (s *Stack) SetMTU(mtu int) { s.link.SetMTU(uint32(mtu)) }

// Close ends all flows and the router.
func (s *Stack) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.neighbours
	s.neighbours = map[netip.Addr]*flows{}
	s.mu.Unlock()
	for _, f := range all {
		f.close()
	}
	s.net.Close()
	s.running.Wait()
	s.net.Wait()
}

// AddNeighbour makes a container known: what it sends is taken, and what is for
// its address goes to its MAC address.
func (s *Stack) AddNeighbour(address netip.Addr, mac MAC) error {
	if err := s.net.AddStaticNeighbor(nic, networkProtocol(address), toAddress(address), tcpip.LinkAddress(mac[:])); err != nil {
		return fmt.Errorf("user-mode stack: neighbour %v: %w: %s", address, errdefs.ErrInternal, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.neighbours[address] == nil && !s.closed {
		s.neighbours[address] = newFlows(mac)
	}
	return nil
}

// RemoveNeighbour ends the flows of a container's address. It may be called again.
func (s *Stack) RemoveNeighbour(address netip.Addr) {
	s.mu.Lock()
	f := s.neighbours[address]
	delete(s.neighbours, address)
	s.mu.Unlock()
	if f == nil {
		return
	}
	f.close()
	_ = s.net.RemoveNeighbor(nic, networkProtocol(address), toAddress(address)) // it fails only where there is none
}

// Input takes a frame that is for the router's MAC address or for all. The frame
// is the caller's again when it returns.
func (s *Stack) Input(frame []byte) {
	if len(frame) < header.EthernetMinimumSize {
		return
	}
	eth := header.Ethernet(frame)
	broadcast := eth.DestinationAddress() != tcpip.LinkAddress(s.mac[:])
	if broadcast && !s.asked(eth.Type(), frame[header.EthernetMinimumSize:]) {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	s.link.deliver(pkt, broadcast)
}

// asked reports whether a frame for all asks for the router's own MAC address: it
// does not answer for addresses beyond it, whose packets it takes all the same.
func (s *Stack) asked(kind tcpip.NetworkProtocolNumber, packet []byte) bool {
	var target netip.Addr
	switch {
	case kind == header.ARPProtocolNumber && len(packet) >= header.ARPSize:
		target, _ = netip.AddrFromSlice(header.ARP(packet).ProtocolAddressTarget())
	case kind == header.IPv6ProtocolNumber && len(packet) >= header.IPv6MinimumSize+header.ICMPv6NeighborSolicitMinimumSize:
		message := header.ICMPv6(packet[header.IPv6MinimumSize:])
		if header.IPv6(packet).NextHeader() == uint8(header.ICMPv6ProtocolNumber) && message.Type() == header.ICMPv6NeighborSolicit {
			target = fromAddress(header.NDPNeighborSolicit(message.MessageBody()).TargetAddress())
		}
	}
	return slices.Contains(s.config.Gateways, target)
}

func protocolAddress(a netip.Addr) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{Protocol: networkProtocol(a), AddressWithPrefix: toAddress(a).WithPrefix()}
}

func networkProtocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func toAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func fromAddress(a tcpip.Address) netip.Addr {
	out, _ := netip.AddrFromSlice(a.AsSlice())
	return out
}
