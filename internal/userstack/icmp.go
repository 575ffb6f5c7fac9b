package userstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// sendICMP sends a message to a container as if it came from an address.
func (s *Stack) sendICMP(from, to netip.Addr, message []byte) {
	route, err := s.net.FindRoute(nic, toAddress(from), toAddress(to), networkProtocol(to), false)
	if err != nil {
		return
	}
	defer route.Release()
	protocol := header.ICMPv4ProtocolNumber
	if to.Is6() {
		protocol = header.ICMPv6ProtocolNumber
		header.ICMPv6(message).SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
			Header: message, Src: toAddress(from), Dst: toAddress(to),
		}))
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()), Payload: buffer.MakeWithData(message),
	})
	defer pkt.DecRef()
	_ = route.WritePacket(stack.NetworkHeaderParams{Protocol: protocol, TTL: route.DefaultTTL()}, pkt) // or it is lost
}

// sendUnreachable tells a container that nobody listens where it sent a datagram to.
// The message quotes the headers of the datagram, by which the container's
// kernel finds the socket (RFC 792, RFC 4443 section 3.1).
func (s *Stack) sendUnreachable(id stack.TransportEndpointID) {
	udp := make(header.UDP, header.UDPMinimumSize)
	udp.Encode(&header.UDPFields{SrcPort: id.RemotePort, DstPort: id.LocalPort, Length: header.UDPMinimumSize})
	var message []byte
	if from := fromAddress(id.LocalAddress); from.Is4() {
		ip := make(header.IPv4, header.IPv4MinimumSize)
		ip.Encode(&header.IPv4Fields{
			TotalLength: header.IPv4MinimumSize + header.UDPMinimumSize, TTL: 1, Protocol: uint8(header.UDPProtocolNumber),
			SrcAddr: id.RemoteAddress, DstAddr: id.LocalAddress,
		})
		ip.SetChecksum(^ip.CalculateChecksum())
		h := make(header.ICMPv4, header.ICMPv4MinimumSize)
		h.SetType(header.ICMPv4DstUnreachable)
		h.SetCode(header.ICMPv4PortUnreachable)
		message = append(append(h, ip...), udp...)
		header.ICMPv4(message).SetChecksum(^checksum.Checksum(message, 0))
	} else {
		ip := make(header.IPv6, header.IPv6MinimumSize)
		ip.Encode(&header.IPv6Fields{
			PayloadLength: header.UDPMinimumSize, HopLimit: 1, TransportProtocol: header.UDPProtocolNumber,
			SrcAddr: id.RemoteAddress, DstAddr: id.LocalAddress,
		})
		h := make(header.ICMPv6, header.ICMPv6MinimumSize)
		h.SetType(header.ICMPv6DstUnreachable)
		h.SetCode(header.ICMPv6PortUnreachable)
		message = append(append(h, ip...), udp...)
	}
	s.sendICMP(fromAddress(id.LocalAddress), fromAddress(id.RemoteAddress), message)
}
