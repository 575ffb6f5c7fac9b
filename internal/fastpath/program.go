package fastpath

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Sizes of an entry of the map: the type of the frame in 4 bytes and an address of it in
// 16, and struct owner.
const (
	addressSize = 16
	keySize     = 4 + addressSize
	ownerSize   = 12
)

// Places of fields of struct __sk_buff (include/uapi/linux/bpf.h).
const (
	vlanPresent = 20
	ifindex     = 40
	dataBegin   = 76
	dataEnd     = 80
)

// Places in a frame: Ethernet, IPv4 without options (RFC 791), IPv6 (RFC 8200).
const (
	targetMAC  = 0
	sourceMAC  = 6
	etherType  = 12
	network    = 14
	fragment4  = network + 6
	protocol4  = network + 9
	source4    = network + 12
	target4    = network + 16
	transport4 = network + 20
	protocol6  = network + 6
	source6    = network + 8
	target6    = network + 24
	transport6 = network + 40
	// shortest is the least of a transport header that is looked at, with both ports.
	shortest = 8
)

// Places of the keys on the stack.
const (
	sourceKey = -keySize
	targetKey = -2 * keySize
)

// Ports of DHCP servers and clients (RFC 2131, RFC 8415), as the packet filter has
// them: who sends from or to them is its business.
const (
	dhcp4Server, dhcp4Client = 67, 68
	dhcp6Client, dhcp6Server = 546, 547
)

// next is TCX_NEXT: as if there were no program.
const next = -1

// Registers that calls leave alone.
const (
	context  = asm.R6
	frame    = asm.R7
	end      = asm.R8
	protocol = asm.R9
)

// text is the program, for a map of owners. It passes TCP and UDP in one piece, without
// VLAN tag, IPv4 options and IPv6 extension headers, from and to owners that are there.
// Redirected packets leave by the egress of the other port, by its queue and its
// counters, as they leave a bridge.
func text(owners int) asm.Instructions {
	var all asm.Instructions
	for _, part := range []asm.Instructions{begin(), addresses4(), addresses6(), transport(), sender(owners), receiver(owners)} {
		all = append(all, part...)
	}
	return append(all,
		asm.Mov.Imm(asm.R0, next).WithSymbol("next"),
		asm.Return())
}

func begin() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(context, asm.R1),
		asm.LoadMem(asm.R3, context, vlanPresent, asm.Word),
		asm.JNE.Imm(asm.R3, 0, "next"),
		asm.LoadMem(frame, context, dataBegin, asm.Word),
		asm.LoadMem(end, context, dataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, frame),
		asm.Add.Imm(asm.R3, transport4+shortest),
		asm.JGT.Reg(asm.R3, end, "next"),
		asm.LoadMem(asm.R3, frame, etherType, asm.Half),
	}
}

// addresses4 makes keys of the addresses of an IPv4 packet.
func addresses4() asm.Instructions {
	all := asm.Instructions{
		asm.JNE.Imm(asm.R3, half(unix.ETH_P_IP), "ipv6"),
		asm.StoreMem(asm.RFP, sourceKey, asm.R3, asm.Word),
		asm.StoreMem(asm.RFP, targetKey, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, frame, network, asm.Byte),
		asm.JNE.Imm(asm.R3, 0x45, "next"), // version, and length without options
		asm.LoadMem(asm.R3, frame, fragment4, asm.Half),
		asm.And.Imm(asm.R3, half(0x3fff)), // more fragments, and offset
		asm.JNE.Imm(asm.R3, 0, "next"),
		asm.LoadMem(protocol, frame, protocol4, asm.Byte),
		asm.LoadMem(asm.R3, frame, source4, asm.Word),
		asm.StoreMem(asm.RFP, sourceKey+4, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, frame, target4, asm.Word),
		asm.StoreMem(asm.RFP, targetKey+4, asm.R3, asm.Word),
		asm.Mov.Imm(asm.R3, 0),
	}
	for at := int16(8); at < keySize; at += 4 {
		all = append(all,
			asm.StoreMem(asm.RFP, sourceKey+at, asm.R3, asm.Word),
			asm.StoreMem(asm.RFP, targetKey+at, asm.R3, asm.Word))
	}
	return append(all,
		asm.Mov.Reg(asm.R5, frame),
		asm.Add.Imm(asm.R5, transport4),
		asm.Ja.Label("transport"))
}

// addresses6 makes keys of the addresses of an IPv6 packet.
func addresses6() asm.Instructions {
	all := asm.Instructions{
		asm.JNE.Imm(asm.R3, half(unix.ETH_P_IPV6), "next").WithSymbol("ipv6"),
		asm.StoreMem(asm.RFP, sourceKey, asm.R3, asm.Word),
		asm.StoreMem(asm.RFP, targetKey, asm.R3, asm.Word),
		asm.Mov.Reg(asm.R3, frame),
		asm.Add.Imm(asm.R3, transport6+shortest),
		asm.JGT.Reg(asm.R3, end, "next"),
		asm.LoadMem(asm.R3, frame, network, asm.Byte),
		asm.And.Imm(asm.R3, 0xf0),
		asm.JNE.Imm(asm.R3, 0x60, "next"), // version
		asm.LoadMem(protocol, frame, protocol6, asm.Byte),
	}
	for at := int16(0); at < addressSize; at += 4 {
		all = append(all,
			asm.LoadMem(asm.R3, frame, source6+at, asm.Word),
			asm.StoreMem(asm.RFP, sourceKey+4+at, asm.R3, asm.Word),
			asm.LoadMem(asm.R3, frame, target6+at, asm.Word),
			asm.StoreMem(asm.RFP, targetKey+4+at, asm.R3, asm.Word))
	}
	return append(all,
		asm.Mov.Reg(asm.R5, frame),
		asm.Add.Imm(asm.R5, transport6))
}

// transport picks TCP, and UDP but for DHCP.
func transport() asm.Instructions {
	return asm.Instructions{
		asm.JEq.Imm(protocol, unix.IPPROTO_TCP, "sender").WithSymbol("transport"),
		asm.JNE.Imm(protocol, unix.IPPROTO_UDP, "next"),
		asm.LoadMem(asm.R3, asm.R5, 0, asm.Half),
		asm.JEq.Imm(asm.R3, half(dhcp4Server), "next"),
		asm.JEq.Imm(asm.R3, half(dhcp6Server), "next"),
		asm.LoadMem(asm.R3, asm.R5, 2, asm.Half),
		asm.JEq.Imm(asm.R3, half(dhcp4Client), "next"),
		asm.JEq.Imm(asm.R3, half(dhcp6Client), "next"),
	}
}

// sender goes on where the port has the source addresses of the packet.
func sender(owners int) asm.Instructions {
	all := owned(owners, "sender", sourceKey, sourceMAC)
	return append(all,
		asm.LoadMem(asm.R3, asm.R0, 0, asm.Word),
		asm.LoadMem(asm.R4, context, ifindex, asm.Word),
		asm.JNE.Reg(asm.R3, asm.R4, "next"))
}

// receiver passes the packet to the port that has its destination, which is not the one
// that it came in by.
func receiver(owners int) asm.Instructions {
	all := owned(owners, "receiver", targetKey, targetMAC)
	return append(all,
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.LoadMem(asm.R4, context, ifindex, asm.Word),
		asm.JEq.Reg(asm.R1, asm.R4, "next"),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return())
}

// owned looks a key up and compares the MAC address with that in the frame. It leaves
// the owner in R0.
func owned(owners int, name string, at, mac int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, owners).WithSymbol(name),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(at)),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.LoadMem(asm.R3, asm.R0, 4, asm.Word),
		asm.LoadMem(asm.R4, frame, mac, asm.Word),
		asm.JNE.Reg(asm.R3, asm.R4, "next"),
		asm.LoadMem(asm.R3, asm.R0, 8, asm.Half),
		asm.LoadMem(asm.R4, frame, mac+4, asm.Half),
		asm.JNE.Reg(asm.R3, asm.R4, "next"),
	}
}

// half is a number of 16 bits in the network's order as the host loads it.
func half(n uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)))
}

// keyOf is the key of an address as the program makes it. The two families do not meet,
// IPv4 addresses within IPv6 (RFC 4291, section 2.5.5) included.
func keyOf(a netip.Addr) [keySize]byte {
	var key [keySize]byte
	kind := uint16(unix.ETH_P_IPV6)
	if a.Is4() {
		kind = unix.ETH_P_IP
	}
	binary.NativeEndian.PutUint32(key[:], uint32(half(kind)))
	copy(key[4:], a.AsSlice())
	return key
}
