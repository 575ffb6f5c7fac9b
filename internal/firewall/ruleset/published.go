package ruleset

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of the key of a published port: the protocol is in the first field,
// then may come an address, then the port. What the map says begins at the first
// field again, an address padded to 4 or 16 bytes and a port.
const (
	afterProtocol = 9  // NFT_REG32_01
	afterAddress4 = 10 // NFT_REG32_02
	afterAddress6 = 13 // NFT_REG32_05
	dataPort4     = 9  // NFT_REG32_01
	dataPort6     = 12 // NFT_REG32_04
)

// LoopbackMark is the mark of packets that are for a loopback address of the host
// because they answer, from a bridge, what was sent to a port published there.
// Nothing else that comes in by a bridge may be for such an address.
const LoopbackMark = 0x70620127

// loopbackFirst is the first byte of the addresses of loopback4, and of no others.
const loopbackFirst = 127

var loopback4 = netip.MustParsePrefix("127.0.0.0/8")

// addPublished adds the maps of published ports and the chain that looks into
// them, for what comes in and for what the host itself sends. Only the host itself
// reaches them at a loopback address, and that of IPv4 alone: the kernel routes
// it where it is told to (loopback.Route). What is for an address that cannot be
// translated is left to the sockets that hold the ports: the loopback address of IPv6,
// whose packets the kernel lets out by no other interface, and link-local IPv6, which it
// does not forward.
func (d *Table) addPublished() {
	to4 := []nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeInetService}
	to6 := []nftables.SetDatatype{nftables.TypeIP6Addr, nftables.TypeInetService}
	all4 := d.dataMap(MapPublished4, to4, nftables.TypeInetProto, nftables.TypeInetService)
	all6 := d.dataMap(MapPublished6, to6, nftables.TypeInetProto, nftables.TypeInetService)
	at4 := d.dataMap(MapPublishedAt4, to4, nftables.TypeInetProto, nftables.TypeIPAddr, nftables.TypeInetService)
	at6 := d.dataMap(MapPublishedAt6, to6, nftables.TypeInetProto, nftables.TypeIP6Addr, nftables.TypeInetService)

	ip4, ip6 := family(unix.NFPROTO_IPV4), family(unix.NFPROTO_IPV6)
	d.chain(sub("published"),
		rule(ip6, equal(ip6Target, netip.IPv6Loopback().AsSlice()), leave),
		rule(ip6, masked(ip6Target, netip.MustParsePrefix("fe80::/10")), leave),
		rule(ip4, protocol(), load(ip4Target, afterProtocol), load(targetPort, afterAddress4), dnat(at4, unix.NFPROTO_IPV4, dataPort4)),
		rule(ip6, protocol(), load(ip6Target, afterProtocol), load(targetPort, afterAddress6), dnat(at6, unix.NFPROTO_IPV6, dataPort6)),
		rule(ip4, protocol(), load(targetPort, afterProtocol), dnat(all4, unix.NFPROTO_IPV4, dataPort4)),
		rule(ip6, protocol(), load(targetPort, afterProtocol), dnat(all6, unix.NFPROTO_IPV6, dataPort6)))
	look := rule(forHost(), goTo("published"))
	d.chain(hook("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
		rule(ip4, masked(ip4Target, loopback4), accept), look)
	d.chain(hook("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), look)
}

// addAnswers marks what answers from a bridge to a loopback address. It comes after the
// translation back, and where bridged frames go through here (br_netfilter) before they
// meet the bridge's own guard.
func (d *Table) addAnswers(bridges *nftables.Set) {
	d.chain(hook("answers", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityFilter),
		// The byte first: of all packets that come to the host nothing else is asked.
		rule(equal(ip4Target8, []byte{loopbackFirst}), family(unix.NFPROTO_IPV4), iifname(firstField), in(bridges),
			conntrack(expr.CtKeySTATUS, statusDNAT), mark(LoopbackMark)))
}

// mark gives a packet a mark.
func mark(value uint32) part {
	return part{
		&expr.Immediate{Register: firstField, Data: binaryutil.NativeEndian.PutUint32(value)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: firstField, SourceRegister: true},
	}
}

// protocol loads the number of the protocol above IP.
func protocol() part { return part{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstField}} }

func family(number byte) part {
	return part{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: firstField},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstField, Data: []byte{number}},
	}
}

// masked matches where a field is in a prefix.
func masked(f field, p netip.Prefix) part {
	mask := make([]byte, f.len)
	for bit := range p.Bits() {
		mask[bit/8] |= 0x80 >> (bit % 8)
	}
	return append(load(f, firstField), bitsAre(mask, p.Addr().AsSlice())...)
}

// dnat sends a packet to where the map says for the first fields, if it does.
func dnat(m *nftables.Set, family, port uint32) part {
	return part{
		&expr.Lookup{SourceRegister: firstField, DestRegister: firstField, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: firstField, RegProtoMin: port, Specified: true},
	}
}
