package firewall

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/ruleset"
)

// Bits of conntrack: include/uapi/linux/netfilter/nf_conntrack_common.h.
const (
	stateEstablished = 1 << 1
	statusSeenReply  = 1 << 1
	statusDNAT       = 1 << 5
)

// packet is what rules see of one that belongs to a known connection: an IPv4 TCP segment.
type packet struct {
	in, out string // interfaces; "": none
	frame   []byte
	status  uint32 // of its connection
}

const (
	frameHeader = 14
	ipHeader    = 20
	tcpHeader   = 20
)

// segment is one with an acknowledgement, between addresses that no rule knows.
func segment(in, out string, status uint32) packet {
	frame := make([]byte, frameHeader+ipHeader+tcpHeader)
	binary.BigEndian.PutUint16(frame[12:], unix.ETH_P_IP)
	copy(frame[frameHeader+12:], []byte{10, 9, 0, 2, 192, 0, 2, 1})
	frame[frameHeader+ipHeader+13] = 0x10
	return packet{in: in, out: out, frame: frame, status: status | statusSeenReply}
}

// cost is what a packet passes.
type cost struct{ chains, expressions, lookups int }

// walk is the way of a packet through the rules of tables, as the kernel evaluates them
// (nft_do_chain): as much of it as packets of known connections meet.
type walk struct {
	t        *testing.T
	packet   packet
	chains   map[string]ruleset.Chain
	elements map[string]*expr.Verdict // by set and key; nil: an element of a set
	register [(4 + 1) * 16]byte
	cost     cost
}

// pass takes a packet through the chains of a hook. Those of the type nat see first packets alone.
func pass(t *testing.T, p packet, d ruleset.Table, at *nftables.ChainHook, elements []element) (cost, expr.VerdictKind) {
	t.Helper()
	w := &walk{t: t, packet: p, chains: map[string]ruleset.Chain{}, elements: map[string]*expr.Verdict{}}
	for _, ch := range d.Chains {
		w.chains[ch.Name] = ch
	}
	for _, e := range elements {
		w.elements[e.Set.Name+string(e.Value.Key)] = e.Value.VerdictData
	}
	for _, ch := range d.Chains {
		if ch.Hooknum == nil || *ch.Hooknum != *at || ch.Type != nftables.ChainTypeFilter {
			continue
		}
		if v := w.chain(ch); v == expr.VerdictDrop {
			return w.cost, v
		}
	}
	return w.cost, expr.VerdictAccept
}

// chain gives accept, drop or return, which is also what the end of a chain is.
func (w *walk) chain(ch ruleset.Chain) expr.VerdictKind {
	w.cost.chains++
	for _, rule := range ch.Rules {
		v := w.rule(rule)
		if v == nil {
			continue
		}
		switch v.Kind {
		case expr.VerdictAccept, expr.VerdictDrop, expr.VerdictReturn:
			return v.Kind
		case expr.VerdictGoto:
			return w.chain(w.chains[v.Chain])
		case expr.VerdictJump:
			if kind := w.chain(w.chains[v.Chain]); kind != expr.VerdictReturn {
				return kind
			}
		default:
			w.t.Fatalf("verdict %v", v.Kind)
		}
	}
	return expr.VerdictReturn
}

// rule gives nil where one does not match or says nothing.
func (w *walk) rule(all []expr.Any) *expr.Verdict {
	for _, e := range all {
		w.cost.expressions++
		matches, v := w.expression(e)
		if !matches || v != nil {
			return v
		}
	}
	return nil
}

func (w *walk) expression(one expr.Any) (matches bool, v *expr.Verdict) {
	switch e := one.(type) {
	case *expr.Verdict:
		return true, e
	case *expr.Meta:
		copy(w.at(e.Register), append(w.meta(e.Key), make([]byte, 4)...))
	case *expr.Payload:
		from := map[expr.PayloadBase]int{expr.PayloadBaseLLHeader: 0, expr.PayloadBaseNetworkHeader: frameHeader, expr.PayloadBaseTransportHeader: frameHeader + ipHeader}[e.Base]
		copy(w.at(e.DestRegister), w.packet.frame[from+int(e.Offset):][:e.Len])
	case *expr.Ct:
		copy(w.at(e.Register), w.ct(e.Key))
	case *expr.Bitwise:
		for i := range e.Mask {
			w.at(e.DestRegister)[i] = w.at(e.SourceRegister)[i]&e.Mask[i] ^ e.Xor[i]
		}
	case *expr.Cmp:
		return w.compare(e), nil
	case *expr.Lookup:
		return w.lookup(e)
	default:
		w.t.Fatalf("%T: no packet of a known connection is to meet it", one)
	}
	return true, nil
}

// at is the memory from a register on: 16 bytes each from 1 to 4, and 4 each from 8 on.
func (w *walk) at(register uint32) []byte {
	if register >= unix.NFT_REG32_00 {
		return w.register[16+4*(register-unix.NFT_REG32_00):]
	}
	return w.register[16*register:]
}

func (w *walk) meta(key expr.MetaKey) []byte {
	switch key {
	case expr.MetaKeyIIFNAME:
		return ruleset.Interface(w.packet.in)
	case expr.MetaKeyOIFNAME:
		return ruleset.Interface(w.packet.out)
	case expr.MetaKeyL4PROTO:
		return []byte{unix.IPPROTO_TCP}
	case expr.MetaKeyNFPROTO:
		return []byte{unix.NFPROTO_IPV4}
	default:
		w.t.Fatalf("meta %v", key)
		return nil
	}
}

func (w *walk) ct(key expr.CtKey) []byte {
	switch key {
	case expr.CtKeySTATE:
		return binaryutil.NativeEndian.PutUint32(stateEstablished)
	case expr.CtKeySTATUS:
		return binaryutil.NativeEndian.PutUint32(w.packet.status)
	default:
		w.t.Fatalf("ct %v", key)
		return nil
	}
}

func (w *walk) compare(e *expr.Cmp) bool {
	order := bytes.Compare(w.at(e.Register)[:len(e.Data)], e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return order == 0
	case expr.CmpOpNeq:
		return order != 0
	case expr.CmpOpGte:
		return order >= 0
	default:
		w.t.Fatalf("comparison %v", e.Op)
		return false
	}
}

// lookup knows the elements by keys of the length that each set has.
func (w *walk) lookup(e *expr.Lookup) (matches bool, v *expr.Verdict) {
	w.cost.lookups++
	for _, s := range []func(string) *nftables.Set{ruleset.Inet, ruleset.Bridge} {
		if set := s(e.SetName); set != nil {
			v, found := w.elements[set.Name+string(w.at(e.SourceRegister)[:set.KeyType.Bytes])]
			return found != e.Invert, v
		}
	}
	w.t.Fatalf("set %s", e.SetName)
	return false, nil
}
