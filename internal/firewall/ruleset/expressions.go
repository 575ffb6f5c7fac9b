package ruleset

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers. Fields of a concatenation follow one another in units of 4 bytes:
// an interface name takes 4 of them, a MAC address 2, an IP address 1 or 4. The
// first field goes into the 16-byte register 1, which is unit 8.
const (
	firstField   = 1
	afterName    = 12 // NFT_REG32_04
	afterNameMAC = 14 // NFT_REG32_06
)

// part is one or more expressions of a rule; a rule is a sequence of parts.
type part []expr.Any

func rule(parts ...part) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func iifname(register uint32) part {
	return part{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}}
}

func oifname(register uint32) part {
	return part{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register}}
}

// A field is a place in a packet.
type field struct {
	base        expr.PayloadBase
	offset, len uint32
}

// Fields of Ethernet (IEEE 802.3), ARP (RFC 826), IPv4 (RFC 791), IPv6 (RFC
// 8200), UDP (RFC 768), TCP (RFC 9293) and neighbour discovery (RFC 4861).
var (
	etherSource = field{expr.PayloadBaseLLHeader, 6, 6}
	etherType   = field{expr.PayloadBaseLLHeader, 12, 2}
	arpForm     = field{expr.PayloadBaseNetworkHeader, 0, 6} // types and lengths of the addresses
	arpMAC      = field{expr.PayloadBaseNetworkHeader, 8, 6}
	arpIP       = field{expr.PayloadBaseNetworkHeader, 14, 4}
	ip4Fragment = field{expr.PayloadBaseNetworkHeader, 6, 2} // flags and offset
	ip4Source   = field{expr.PayloadBaseNetworkHeader, 12, 4}
	ip4Source8  = field{expr.PayloadBaseNetworkHeader, 12, 1} // the first byte of it
	ip4Target   = field{expr.PayloadBaseNetworkHeader, 16, 4}
	ip4Target8  = field{expr.PayloadBaseNetworkHeader, 16, 1} // the first byte of it
	ip6Length   = field{expr.PayloadBaseNetworkHeader, 4, 2}
	ip6Next     = field{expr.PayloadBaseNetworkHeader, 6, 1}
	ip6Source   = field{expr.PayloadBaseNetworkHeader, 8, 16}
	ip6Target   = field{expr.PayloadBaseNetworkHeader, 24, 16}
	sourcePort  = field{expr.PayloadBaseTransportHeader, 0, 2}
	targetPort  = field{expr.PayloadBaseTransportHeader, 2, 2}
	tcpFlags    = field{expr.PayloadBaseTransportHeader, 13, 1}
	icmpType    = field{expr.PayloadBaseTransportHeader, 0, 1}
	ndTarget    = field{expr.PayloadBaseTransportHeader, 8, 16}
	ndOption    = field{expr.PayloadBaseTransportHeader, 24, 2} // type and length
	ndOptionMAC = field{expr.PayloadBaseTransportHeader, 26, 6}
)

// Types of ICMP messages (RFC 792, RFC 4443, RFC 4861).
const (
	redirect4              = 5
	echoRequest4           = 8
	echoRequest6           = 128
	listenerReport         = 131
	listenerDone           = 132
	routerAdvertisement    = 134
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	redirect6              = 137
	listenerReport2        = 143
)

// Types of options of neighbour discovery (RFC 4861, RFC 3971).
const (
	optionSource = 1 // link-layer address
	optionTarget = 2 // link-layer address
	optionNonce  = 14
)

var unspecified6 = make([]byte, 16)

func load(f field, register uint32) part {
	return part{&expr.Payload{DestRegister: register, Base: f.base, Offset: f.offset, Len: f.len}}
}

func equal(f field, value []byte) part {
	return append(load(f, firstField), &expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: value})
}

func unequal(f field, value []byte) part {
	return append(load(f, firstField), &expr.Cmp{Op: expr.CmpOpNeq, Register: firstField, Data: value})
}

// anyValue matches whatever is in the first field: a field that a packet does
// not have matches nothing.
func anyValue(length int) part {
	return part{&expr.Cmp{Op: expr.CmpOpGte, Register: firstField, Data: make([]byte, length)}}
}

// anyBit matches where any bit of the mask is set in the first field.
func anyBit(mask []byte) part {
	zero := make([]byte, len(mask))
	return part{
		&expr.Bitwise{SourceRegister: firstField, DestRegister: firstField, Len: uint32(len(mask)), Mask: mask, Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstField, Data: zero},
	}
}

// bitsAre matches where the bits of the mask in the first field are as wanted.
func bitsAre(mask, wanted []byte) part {
	return part{
		&expr.Bitwise{SourceRegister: firstField, DestRegister: firstField, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: wanted},
	}
}

// fragmentOffset6 loads offset and flags of an IPv6 fragment header.
func fragmentOffset6(register uint32) part {
	return part{&expr.Exthdr{DestRegister: register, Type: unix.IPPROTO_FRAGMENT, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6}}
}

// icmp matches an ICMP message of the protocol (unix.IPPROTO_ICMP, _ICMPV6).
func icmp(protocol, kind byte) part {
	return append(l4proto(protocol), equal(icmpType, []byte{kind})...)
}

func l4proto(protocol byte) part {
	return part{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstField},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: []byte{protocol}},
	}
}

// anyL4proto matches packets of a known form.
func anyL4proto() part {
	return append(part{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstField}}, anyValue(1)...)
}

// prefixed matches input interfaces by the start of their name.
func prefixed(prefix string) part {
	return append(iifname(firstField), &expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: []byte(prefix)})
}

func in(s *nftables.Set) part {
	return part{&expr.Lookup{SourceRegister: firstField, SetName: s.Name, SetID: s.ID}}
}

func notIn(s *nftables.Set) part {
	return part{&expr.Lookup{SourceRegister: firstField, SetName: s.Name, SetID: s.ID, Invert: true}}
}

// verdictOf does what the map says of the first field, if it says anything.
func verdictOf(s *nftables.Set) part {
	return part{&expr.Lookup{SourceRegister: firstField, SetName: s.Name, SetID: s.ID, IsDestRegSet: true}}
}

// Bits of conntrack: include/uapi/linux/netfilter/nf_conntrack_common.h.
const (
	stateEstablished = 1 << 1
	stateRelated     = 1 << 2
	statusSeenReply  = 1 << 1
	statusDNAT       = 1 << 5
)

// conntrack matches where any of the bits is set.
func conntrack(key expr.CtKey, bits uint32) part {
	return append(part{&expr.Ct{Key: key, Register: firstField}}, anyBit(binaryutil.NativeEndian.PutUint32(bits))...)
}

// conntrackAll matches where all of the bits of the status are set.
func conntrackAll(bits uint32) part {
	all := binaryutil.NativeEndian.PutUint32(bits)
	return append(part{&expr.Ct{Key: expr.CtKeySTATUS, Register: firstField}}, bitsAre(all, all)...)
}

// beginsConnection matches the first packet of either side of a TCP connection.
func beginsConnection() part {
	const syn, reset = 0x02, 0x04
	all := append(l4proto(unix.IPPROTO_TCP), load(tcpFlags, firstField)...)
	return append(all, bitsAre([]byte{syn | reset}, []byte{syn})...)
}

// clampSegments lowers the maximum segment size that a TCP connection begins
// with (RFC 9293, section 3.7.1) to what fits the smaller one of the MTUs of the
// routes in both directions.
func clampSegments() part {
	const (
		maxSegment     = 2 // kind of the option
		sizeAt, sizeOf = 2, 2
	)
	return part{
		&expr.Rt{Register: firstField, Key: expr.RtTCPMSS},
		&expr.Byteorder{SourceRegister: firstField, DestRegister: firstField, Op: expr.ByteorderHton, Len: sizeOf, Size: sizeOf},
		&expr.Exthdr{SourceRegister: firstField, Type: maxSegment, Offset: sizeAt, Len: sizeOf, Op: expr.ExthdrOpTcpopt},
	}
}

// notForInterface matches packets to addresses that the input interface does
// not have itself.
func notForInterface() part {
	return part{
		&expr.Fib{Register: firstField, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstField, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// forHost matches packets to any address of the host.
func forHost() part {
	return part{
		&expr.Fib{Register: firstField, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func verdict(kind expr.VerdictKind, chain string) part {
	return part{&expr.Verdict{Kind: kind, Chain: chain}}
}

var (
	accept     = verdict(expr.VerdictAccept, "")
	leave      = verdict(expr.VerdictReturn, "")
	drop       = verdict(expr.VerdictDrop, "")
	masquerade = part{&expr.Masq{}}
)

func jump(chain string) part { return verdict(expr.VerdictJump, chain) }

func goTo(chain string) part { return verdict(expr.VerdictGoto, chain) }
