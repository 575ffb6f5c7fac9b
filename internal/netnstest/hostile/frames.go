//go:build integration

package hostile

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

var broadcast = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Address is an address as it is in packets.
func Address(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// Ethernet is a frame. It pads as hardware does, so that the frame is as long on arrival.
func Ethernet(to, from []byte, kind int, payload ...[]byte) []byte {
	frame := slices.Concat(to, from, u16(kind), slices.Concat(payload...))
	return append(frame, make([]byte, max(0, 60-len(frame)))...)
}

// ARPReply tells everybody that the address belongs to the MAC address.
func ARPReply(from, mac, address []byte) []byte {
	return Ethernet(broadcast, from, 0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 2}, mac, address, broadcast, address)
}

// Sum is the internet checksum (RFC 1071).
func Sum(data []byte) []byte {
	var s uint32
	for i := 0; i < len(data); i += 2 {
		s += uint32(data[i]) << 8
		if i+1 < len(data) {
			s += uint32(data[i+1])
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return u16(int(^uint16(s)))
}

// IPv4 is an IPv4 packet; fragment is its field of flags and offset.
func IPv4(source, target []byte, protocol byte, fragment int, payload []byte) []byte {
	header := slices.Concat([]byte{0x45, 0}, u16(20+len(payload)), u16(0x7062), u16(fragment), []byte{64, protocol, 0, 0}, source, target)
	copy(header[10:], Sum(header))
	return append(header, payload...)
}

// IPv6 is an IPv6 packet.
func IPv6(source, target []byte, next byte, payload []byte) []byte {
	return slices.Concat([]byte{0x60, 0, 0, 0}, u16(len(payload)), []byte{next, 255}, source, target, payload)
}

// UDP is a datagram. It has no checksum in IPv4 and an honest one in IPv6.
func UDP(source, target []byte, from, to int, text string) []byte {
	d := slices.Concat(u16(from), u16(to), u16(8+len(text)), []byte{0, 0}, []byte(text))
	if len(source) == 16 {
		copy(d[6:], Sum(slices.Concat(source, target, u16(0), u16(len(d)), u16(0), u16(ProtocolUDP), d)))
	}
	return d
}

// icmp6 is an ICMPv6 message from its type and what follows the checksum.
func icmp6(source, target []byte, kind byte, body ...[]byte) []byte {
	m := slices.Concat([]byte{kind, 0, 0, 0}, slices.Concat(body...))
	copy(m[2:], Sum(slices.Concat(source, target, u16(0), u16(len(m)), u16(0), u16(protocolICMP6), m)))
	return m
}

// ProtocolUDP is the number of the protocol (RFC 768).
const ProtocolUDP = 17

const (
	protocolICMP6   = 58
	headerFragment  = 44
	headerOptions   = 60
	moreFragments   = 1
	typeRA          = 134
	typeNS          = 135
	typeNA          = 136
	typeRedirect    = 137
	optionSourceMAC = 1
	optionTargetMAC = 2
	optionNonce     = 14
)

// neighbour6 is a solicitation or an advertisement.
func neighbour6(source, target []byte, kind byte, about []byte, options ...[]byte) []byte {
	flags := []byte{0, 0, 0, 0}
	if kind == typeNA {
		flags[0] = 0x20 // override
	}
	return icmp6(source, target, kind, flags, about, slices.Concat(options...))
}

// option6 is an option of neighbour discovery with 6 bytes.
func option6(kind byte, value []byte) []byte { return append([]byte{kind, 1}, value...) }

// fragment6 is a fragment header and its part of the packet; offset in units of
// 8 bytes.
func fragment6(next byte, offset, more int, payload []byte) []byte {
	return slices.Concat([]byte{next, 0}, u16(offset<<3|more), u16(0), u16(0x7062), payload)
}
