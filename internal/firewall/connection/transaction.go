package connection

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// step is what a transaction does with the elements of a set.
type step struct {
	message uint16 // NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM
	keys    bool   // without what a map says for them
}

var (
	put      = step{message: unix.NFT_MSG_NEWSETELEM}
	take     = step{message: unix.NFT_MSG_DELSETELEM}
	takeKeys = step{message: unix.NFT_MSG_DELSETELEM, keys: true}
)

// transaction is a transaction of elements as the kernel reads it. It is what the library
// makes of the same elements, without some 200 pieces of memory on the way there: a change of a
// container's port is most of what its network's process allocates for it.
type transaction struct {
	out      []byte
	sequence uint32 // of the last message
	last     int    // where the last message but the end begins
}

// encode makes a transaction of some elements, in place of what t was. The steps of one set
// come one after the other, and all of its elements together.
func (t *transaction) encode(all []Element, steps []step) (first, last uint32) {
	t.out = t.out[:0]
	begun := t.begin(unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	t.end(begun)
	first = t.sequence
	var done []*nftables.Set
	for i := range all {
		set := all[i].Set
		if slices.Contains(done, set) {
			continue
		}
		done = append(done, set)
		for rest := all[i:]; len(rest) > 0; {
			next := 0
			for _, s := range steps {
				next = t.elements(set, rest, s)
			}
			rest = rest[next:]
		}
	}
	// The kernel tells what became of the last one, and thereby of all.
	binary.NativeEndian.PutUint16(t.out[t.last+6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	last = t.sequence
	t.end(t.begin(unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES))
	return first, last
}

// elements adds a message about the elements of a set that are among all, as many as a
// message may have, and returns how many of all it has seen to.
func (t *transaction) elements(set *nftables.Set, all []Element, s step) (seen int) {
	begun := t.begin(unix.NFNL_SUBSYS_NFTABLES<<8|s.message, unix.NLM_F_REQUEST|unix.NLM_F_CREATE, byte(set.Table.Family), 0)
	t.last = begun
	t.text(unix.NFTA_SET_ELEM_LIST_SET, set.Name)
	t.number(unix.NFTA_SET_ELEM_LIST_SET_ID, set.ID)
	t.text(unix.NFTA_SET_ELEM_LIST_TABLE, set.Table.Name)
	list := t.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	count := uint16(0)
	for i := range all {
		if all[i].Set != set {
			continue
		}
		if count == maxPerMessage {
			t.close(list)
			t.end(begun)
			return i
		}
		count++
		t.element(count, &all[i].Value, s)
	}
	t.close(list)
	t.end(begun)
	return len(all)
}

func (t *transaction) element(number uint16, e *nftables.SetElement, s step) {
	item := t.nest(number)
	key := t.nest(unix.NFTA_SET_ELEM_KEY)
	t.bytes(unix.NFTA_DATA_VALUE, e.Key)
	t.close(key)
	if !s.keys {
		t.data(e)
		if e.Comment != "" {
			t.comment(e.Comment)
		}
	}
	t.close(item)
}

// data is what a map says for an element.
func (t *transaction) data(e *nftables.SetElement) {
	if e.VerdictData == nil && len(e.Val) == 0 {
		return
	}
	data := t.nest(unix.NFTA_SET_ELEM_DATA)
	if v := e.VerdictData; v != nil {
		verdict := t.nest(unix.NFTA_DATA_VERDICT)
		t.number(unix.NFTA_VERDICT_CODE, uint32(v.Kind)) //nolint:gosec // the kernel has codes of jumps below 0
		if v.Chain != "" {
			t.text(unix.NFTA_VERDICT_CHAIN, v.Chain)
		}
		t.close(verdict)
	} else {
		t.bytes(unix.NFTA_DATA_VALUE, e.Val)
	}
	t.close(data)
}

// comment is kept by the kernel as nft(8) reads it.
func (t *transaction) comment(text string) {
	at := t.attribute(unix.NFTA_SET_ELEM_USERDATA)
	t.out = append(t.out, byte(userdata.NFTNL_UDATA_SET_ELEM_COMMENT), byte(len(text)+1)) //nolint:gosec // an id
	t.out = append(t.out, text...)
	t.out = append(t.out, 0)
	t.close(at)
}

// begin begins a message, whose length comes with its end.
func (t *transaction) begin(kind, flags uint16, family byte, resource uint16) (at int) {
	at = len(t.out)
	t.sequence++
	t.out = binary.NativeEndian.AppendUint32(t.out, 0)
	t.out = binary.NativeEndian.AppendUint16(t.out, kind)
	t.out = binary.NativeEndian.AppendUint16(t.out, flags)
	t.out = binary.NativeEndian.AppendUint32(t.out, t.sequence)
	t.out = binary.NativeEndian.AppendUint32(t.out, 0)
	t.out = append(t.out, family, unix.NFNETLINK_V0)
	t.out = binary.BigEndian.AppendUint16(t.out, resource)
	return at
}

func (t *transaction) end(at int) {
	binary.NativeEndian.PutUint32(t.out[at:], uint32(len(t.out)-at)) //nolint:gosec // below 1 MiB
}

// attribute begins an attribute, whose length comes when it is closed.
func (t *transaction) attribute(kind uint16) (at int) {
	at = len(t.out)
	t.out = binary.NativeEndian.AppendUint16(t.out, 0)
	t.out = binary.NativeEndian.AppendUint16(t.out, kind)
	return at
}

func (t *transaction) nest(kind uint16) (at int) { return t.attribute(kind | unix.NLA_F_NESTED) }

func (t *transaction) close(at int) {
	binary.NativeEndian.PutUint16(t.out[at:], uint16(len(t.out)-at)) //nolint:gosec // maxPerMessage
	for len(t.out)%unix.NLA_ALIGNTO != 0 {
		t.out = append(t.out, 0)
	}
}

func (t *transaction) bytes(kind uint16, value []byte) {
	at := t.attribute(kind)
	t.out = append(t.out, value...)
	t.close(at)
}

func (t *transaction) text(kind uint16, value string) {
	at := t.attribute(kind)
	t.out = append(append(t.out, value...), 0)
	t.close(at)
}

func (t *transaction) number(kind uint16, value uint32) {
	at := t.attribute(kind)
	t.out = binary.BigEndian.AppendUint32(t.out, value)
	t.close(at)
}
