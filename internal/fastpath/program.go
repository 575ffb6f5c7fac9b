package fastpath

import (
	"encoding/binary"
	"net/netip"
	"slices"

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

// fromPorts is the program of the ports, for a map of owners. It passes TCP and UDP in one
// piece, without VLAN tag, IPv4 options and IPv6 extension headers, from owners that are
// there, to such ones or to the bridge. Redirected packets leave by the egress of the other
// port, by its queue and its counters, as they leave a bridge, or come in by the bridge
// itself, as those that a bridge keeps.
func fromPorts(owners int, bridge Bridge) asm.Instructions {
	return joined(begin(transport4+shortest), addresses4(), addresses6(), transport(), sender(owners), toBridge(bridge), receiver(owners))
}

// joined is a program of parts, which go on as if there were none where they end or jump
// to "next".
func joined(parts ...asm.Instructions) asm.Instructions {
	return append(slices.Concat(parts...),
		asm.Mov.Imm(asm.R0, next).WithSymbol("next"),
		asm.Return())
}

// begin leaves the type of a frame of at least that many bytes in R3.
func begin(shortest int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(context, asm.R1),
		asm.LoadMem(asm.R3, context, vlanPresent, asm.Word),
		asm.JNE.Imm(asm.R3, 0, "next"),
		asm.LoadMem(frame, context, dataBegin, asm.Word),
		asm.LoadMem(end, context, dataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, frame),
		asm.Add.Imm(asm.R3, shortest),
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
	all = append(all, padded4(sourceKey)...)
	all = append(all, padded4(targetKey)...)
	return append(all,
		asm.Mov.Reg(asm.R5, frame),
		asm.Add.Imm(asm.R5, transport4),
		asm.Ja.Label("transport"))
}

// padded4 fills the key of an IPv4 address with R3, which is 0.
func padded4(key int16) (all asm.Instructions) {
	for at := int16(8); at < keySize; at += 4 {
		all = append(all, asm.StoreMem(asm.RFP, key+at, asm.R3, asm.Word))
	}
	return all
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

// toBridge passes to the bridge what is for its MAC address: it is the host's, whatever
// its IP address, and the filter of IP says what becomes of it.
func toBridge(bridge Bridge) asm.Instructions {
	mac := bridge.MAC.HardwareAddr()
	return asm.Instructions{
		asm.LoadMem(asm.R3, frame, targetMAC, asm.Word),
		asm.JNE.Imm32(asm.R3, int32(binary.NativeEndian.Uint32(mac)), "neighbour"),
		asm.LoadMem(asm.R3, frame, targetMAC+4, asm.Half),
		asm.JNE.Imm(asm.R3, int32(binary.NativeEndian.Uint16(mac[4:])), "neighbour"),
		asm.Mov.Imm(asm.R1, int32(bridge.Index)),
		asm.Mov.Imm(asm.R2, unix.BPF_F_INGRESS),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// receiver passes the packet to the port that has its destination, which is not the one
// that it came in by.
func receiver(owners int) asm.Instructions {
	all := owned(owners, "neighbour", targetKey, targetMAC)
	return append(all,
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.LoadMem(asm.R4, context, ifindex, asm.Word),
		asm.JEq.Reg(asm.R1, asm.R4, "next"),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return())
}

// fromHost is the program of the bridge, for what the host itself sends by it or forwards:
// it passes IP packets to the port that has their destination, which neither MAC address
// table nor flood of the bridge has to tell. Who may send by a bridge has been asked.
func fromHost(owners int) asm.Instructions {
	return joined(begin(transport4), target4Only(), target6Only(), owned(owners, "owner", targetKey, targetMAC),
		asm.Instructions{
			asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		})
}

// target4Only makes a key of the destination of an IPv4 packet, whatever follows it.
func target4Only() asm.Instructions {
	all := asm.Instructions{
		asm.JNE.Imm(asm.R3, half(unix.ETH_P_IP), "ipv6"),
		asm.StoreMem(asm.RFP, targetKey, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, frame, target4, asm.Word),
		asm.StoreMem(asm.RFP, targetKey+4, asm.R3, asm.Word),
		asm.Mov.Imm(asm.R3, 0),
	}
	return append(append(all, padded4(targetKey)...), asm.Ja.Label("owner"))
}

// target6Only makes a key of the destination of an IPv6 packet.
func target6Only() asm.Instructions {
	all := asm.Instructions{
		asm.JNE.Imm(asm.R3, half(unix.ETH_P_IPV6), "next").WithSymbol("ipv6"),
		asm.StoreMem(asm.RFP, targetKey, asm.R3, asm.Word),
		asm.Mov.Reg(asm.R3, frame),
		asm.Add.Imm(asm.R3, transport6),
		asm.JGT.Reg(asm.R3, end, "next"),
	}
	for at := int16(0); at < addressSize; at += 4 {
		all = append(all,
			asm.LoadMem(asm.R3, frame, target6+at, asm.Word),
			asm.StoreMem(asm.RFP, targetKey+4+at, asm.R3, asm.Word))
	}
	return all
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
