package connect

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// endpoint is an address and a port as in the maps: 16 bytes of an IPv6 address, or of an IPv4
// one within it (RFC 4291, section 2.5.5.2), and the port in the network's order in the 4 bytes
// that struct bpf_sock_addr has for it. Port 0 marks an own address of the host.
type endpoint [endpointSize]byte

const (
	wordSize     = 4
	portAt       = 16
	endpointSize = portAt + wordSize
	// What a socket keeps: the endpoint that it asked for, and behind it the one that it got.
	askedSize = 2 * endpointSize
)

// Places of fields of struct bpf_sock_addr and struct bpf_sock (include/uapi/linux/bpf.h).
const (
	userIPv4     = 4
	userIPv6     = 8
	userPort     = 24
	sockProtocol = 36
	sockAt       = 64

	boundInterface = 0
	sockMark       = 16
	sourceIPv4     = 24
	sourceIPv6     = 28
)

// Places on the stack: the endpoint that is asked for, another one that is looked up, and a
// socket address.
const (
	askedKey = -24
	otherKey = askedKey - 24
	bindTo   = otherKey - 32
)

// Registers that calls leave alone.
const (
	context = asm.R6
	socket  = asm.R7
	target  = asm.R8 // an endpoint in the map
	ofAll   = asm.R9 // not 0: it is published at all addresses
)

// family is what programs of IPv4 and IPv6 sockets do not have in common.
type family struct {
	number   int64
	address  int16   // of the peer, in the context
	words    []int16 // of it, in an endpoint
	sources  []int16 // those of the source address, in the socket
	bindAt   int16   // of the address, in a socket address
	bindSize int32
}

var (
	ipv4 = family{
		number: unix.AF_INET, address: userIPv4, words: []int16{12}, sources: []int16{sourceIPv4},
		bindAt: 4, bindSize: unix.SizeofSockaddrInet4,
	}
	ipv6 = family{
		number: unix.AF_INET6, address: userIPv6, words: []int16{0, 4, 8, 12},
		sources: []int16{sourceIPv6, sourceIPv6 + 4, sourceIPv6 + 8, sourceIPv6 + 12},
		bindAt:  8, bindSize: unix.SizeofSockaddrInet6,
	}
)

// program is one of a path and where it is attached.
type program struct {
	at   ebpf.AttachType
	text asm.Instructions
}

// programs are those of one network, for its maps and a network namespace. What gives sockets
// back the address that they asked for comes before what takes it from them.
func programs(published, asked int, cookie uint64) []program {
	return []program{
		{ebpf.AttachCgroupInet4GetPeername, ipv4.atGetPeerName(asked)},
		{ebpf.AttachCgroupInet6GetPeername, ipv6.atGetPeerName(asked)},
		{ebpf.AttachCGroupInet4Connect, ipv4.atConnect(published, asked, cookie)},
		{ebpf.AttachCGroupInet6Connect, ipv6.atConnect(published, asked, cookie)},
	}
}

// atConnect puts the target in place of a published port of the host.
func (f family) atConnect(published, asked int, cookie uint64) asm.Instructions {
	return joined(f.eligible(cookie), f.askedFor(), find(published), ownAddress(published), f.bind(), remember(asked), f.replace(target, 0))
}

// joined is a program of parts, which lets the call go on where they end or jump to
// "allow".
func joined(parts ...asm.Instructions) asm.Instructions {
	return append(slices.Concat(parts...),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("allow"),
		asm.Return())
}

// eligible goes on for TCP sockets of the namespace whose way is open.
func (f family) eligible(cookie uint64) asm.Instructions {
	all := asm.Instructions{
		asm.Mov.Reg(context, asm.R1),
		asm.FnGetNetnsCookie.Call(),
		asm.LoadImm(asm.R1, int64(cookie), asm.DWord),
		asm.JNE.Reg(asm.R0, asm.R1, "allow"),
		asm.LoadMem(asm.R1, context, sockProtocol, asm.Word),
		asm.JNE.Imm(asm.R1, unix.IPPROTO_TCP, "allow"),
		asm.LoadMem(socket, context, sockAt, asm.DWord),
	}
	for _, at := range append([]int16{boundInterface, sockMark}, f.sources...) {
		all = append(all,
			asm.LoadMem(asm.R1, socket, at, asm.Word),
			asm.JNE.Imm(asm.R1, 0, "allow"))
	}
	return all
}

// askedFor makes an endpoint of what is asked for.
func (f family) askedFor() asm.Instructions {
	all := append(zeroed(askedKey, 8), asm.StoreImm(asm.RFP, askedKey+8, int64(mapped), asm.Word))
	for i, at := range f.words {
		all = append(all, copied(asm.RFP, askedKey+at, context, f.address+wordSize*int16(i))...)
	}
	return append(all, copied(asm.RFP, askedKey+portAt, context, userPort)...)
}

// find leaves what is published there as target: at this address or at all of its family.
func find(published int) asm.Instructions {
	all := lookup(published, askedKey)
	all = append(all,
		asm.Mov.Reg(target, asm.R0),
		asm.Mov.Imm(ofAll, 0),
		asm.JNE.Imm(asm.R0, 0, "found"),
		asm.Mov.Imm(ofAll, 1),
		asm.Mov.Imm(asm.R2, 0),
		asm.LoadMem(asm.R1, asm.RFP, askedKey, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "all"),
		asm.LoadMem(asm.R1, asm.RFP, askedKey+8, asm.Word),
		asm.JNE.Imm32(asm.R1, mapped, "all"),
		asm.Mov.Imm(asm.R2, mapped),
		asm.StoreMem(asm.RFP, otherKey+8, asm.R2, asm.Word).WithSymbol("all"))
	all = append(all, zeroed(otherKey, 8)...)
	all = append(all, zeroed(otherKey+12, wordSize)...)
	all = append(all, copied(asm.RFP, otherKey+portAt, asm.RFP, askedKey+portAt)...)
	all = append(all, lookup(published, otherKey)...)
	return append(all,
		asm.JEq.Imm(asm.R0, 0, "allow"),
		asm.Mov.Reg(target, asm.R0))
}

// ownAddress goes on for addresses of the host, and passes the next part by for loopback
// addresses.
func ownAddress(published int) asm.Instructions {
	all := asm.Instructions{
		asm.LoadMem(asm.R1, asm.RFP, askedKey, asm.DWord).WithSymbol("found"),
		asm.JNE.Imm(asm.R1, 0, "elsewhere"),
		asm.LoadMem(asm.R1, asm.RFP, askedKey+8, asm.Word),
		asm.JEq.Imm32(asm.R1, mapped, "inside"),
		asm.JNE.Imm(asm.R1, 0, "elsewhere"),
		asm.LoadMem(asm.R1, asm.RFP, askedKey+12, asm.Word),
		asm.JEq.Imm32(asm.R1, loopback6, "own"),
		asm.Ja.Label("elsewhere"),
		asm.LoadMem(asm.R1, asm.RFP, askedKey+12, asm.Byte).WithSymbol("inside"),
		asm.JEq.Imm(asm.R1, loopback4, "own"),
		asm.JEq.Imm(ofAll, 0, "bind").WithSymbol("elsewhere"),
		asm.StoreImm(asm.RFP, otherKey+portAt, 0, asm.Word),
	}
	for at := int16(0); at < portAt; at += wordSize {
		all = append(all, copied(asm.RFP, otherKey+at, asm.RFP, askedKey+at)...)
	}
	all = append(all, lookup(published, otherKey)...)
	return append(all, asm.JEq.Imm(asm.R0, 0, "allow"))
}

// bind has the container see the address that is asked for as its client's, as it does when
// packets are translated. Where the host does not have it (any more) the socket is left
// alone.
func (f family) bind() asm.Instructions {
	all := zeroed(bindTo, int16(f.bindSize))
	all[0] = all[0].WithSymbol("bind")
	all = append(all, asm.StoreImm(asm.RFP, bindTo, f.number, asm.Half))
	for i, at := range f.words {
		all = append(all, copied(asm.RFP, bindTo+f.bindAt+wordSize*int16(i), asm.RFP, askedKey+at)...)
	}
	return append(all,
		asm.Mov.Reg(asm.R1, context),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, bindTo),
		asm.Mov.Imm(asm.R3, f.bindSize),
		asm.FnBind.Call(),
		asm.JNE.Imm(asm.R0, 0, "allow"))
}

// remember keeps with the socket what it asked for and what it gets.
func remember(asked int) asm.Instructions {
	all := ofSocket(asked, unix.BPF_SK_STORAGE_GET_F_CREATE)
	all[0] = all[0].WithSymbol("own")
	for at := int16(0); at < endpointSize; at += wordSize {
		all = append(all, copied(asm.R0, at, asm.RFP, askedKey+at)...)
		all = append(all, copied(asm.R0, endpointSize+at, target, at)...)
	}
	return all
}

// replace makes an endpoint the peer's.
func (f family) replace(endpoint asm.Register, begin int16) (all asm.Instructions) {
	for i, at := range f.words {
		all = append(all, copied(context, f.address+wordSize*int16(i), endpoint, begin+at)...)
	}
	return append(all, copied(context, userPort, endpoint, begin+portAt)...)
}

// atGetPeerName gives a socket whose peer is the one that it got the one that it asked for.
func (f family) atGetPeerName(asked int) asm.Instructions {
	all := append(asm.Instructions{
		asm.Mov.Reg(context, asm.R1),
		asm.LoadMem(socket, context, sockAt, asm.DWord),
	}, ofSocket(asked, 0)...)
	differs := func(at, field int16) {
		all = append(all,
			asm.LoadMem(asm.R1, asm.R0, endpointSize+at, asm.Word),
			asm.LoadMem(asm.R2, context, field, asm.Word),
			asm.JNE.Reg(asm.R1, asm.R2, "allow"))
	}
	for i, at := range f.words {
		differs(at, f.address+wordSize*int16(i))
	}
	differs(portAt, userPort)
	return joined(all, f.replace(asm.R0, 0))
}

// ofSocket leaves in R0 what is kept with the socket.
func ofSocket(asked int, flags int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, asked),
		asm.Mov.Reg(asm.R2, socket),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, flags),
		asm.FnSkStorageGet.Call(),
		asm.JEq.Imm(asm.R0, 0, "allow"),
	}
}

// lookup leaves in R0 what the map has for the endpoint at a place on the stack.
func lookup(published int, key int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, published),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
	}
}

// zeroed clears words on the stack.
func zeroed(at, size int16) (all asm.Instructions) {
	for end := at + size; at < end; at += wordSize {
		all = append(all, asm.StoreImm(asm.RFP, at, 0, asm.Word))
	}
	return all
}

// copied copies a word.
func copied(to asm.Register, toAt int16, from asm.Register, fromAt int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, from, fromAt, asm.Word),
		asm.StoreMem(to, toAt, asm.R1, asm.Word),
	}
}

// Parts of addresses as the host loads them: the third word of IPv4 within IPv6, the first
// byte of IPv4 loopback addresses and the last word of the IPv6 one.
var (
	mapped    = word(0xffff)
	loopback6 = word(1)
)

const loopback4 = 127

func word(n uint32) int32 {
	return int32(binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, n)))
}

func endpointOf(a netip.AddrPort) (e endpoint) {
	address := a.Addr().As16()
	copy(e[:], address[:])
	binary.BigEndian.PutUint16(e[portAt:], a.Port())
	return e
}
