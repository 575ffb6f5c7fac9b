package message

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// Decoder reads fields one after the other:
//
//	for d.Next() {
//		switch d.Field() {
//		case 1:
//			d.String(&x.Name)
//		default:
//			d.Skip()
//		}
//	}
//
// A method for a field reads its value, and returns false where that is none: it is
// malformed, or of another type, which is as if the field were unknown.
type Decoder struct {
	rest  []byte
	field int
	wire  int
	taken bool // texts are parts of what is read
	err   error

	memory memory // of messages; nil: they have their own
	brief  bool   // errors say no more than ErrMalformed
}

// Next goes to the next field. It returns false at the end, and after an error.
func (d *Decoder) Next() bool {
	if d.err != nil || len(d.rest) == 0 {
		return false
	}
	tag, ok := d.uvarint()
	d.field, d.wire = int(tag>>3), int(tag&7) //nolint:gosec // a field that is too large is none
	if ok && (d.field < 1 || tag>>3 > maxField) {
		ok = d.fail("field %d", tag>>3)
	}
	return ok
}

// maxField is the largest number that a field may have.
const maxField = 1<<29 - 1

// Field is the number of the field that Next has gone to.
func (d *Decoder) Field() int { return d.field }

// fail returns false.
func (d *Decoder) fail(format string, args ...any) bool {
	switch {
	case d.err != nil:
	case d.brief:
		d.err = ErrMalformed
	default:
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	return false
}

func (d *Decoder) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		return 0, d.fail("a number in field %d", d.field)
	}
	d.rest = d.rest[n:]
	return v, true
}

// bytes returns what comes next, which stays the decoder's.
func (d *Decoder) bytes() ([]byte, bool) {
	size, ok := d.uvarint()
	if !ok {
		return nil, false
	}
	if size > uint64(len(d.rest)) {
		return nil, d.fail("field %d is longer than the message", d.field)
	}
	value := d.rest[:size]
	d.rest = d.rest[size:]
	return value, true
}

// is reports whether the field is of a type, and skips it if not.
func (d *Decoder) is(wire int) bool {
	if d.wire == wire {
		return true
	}
	d.Skip()
	return false
}

// Skip leaves out the field.
func (d *Decoder) Skip() {
	switch d.wire {
	case wireVarint:
		d.uvarint()
	case wireFixed64:
		d.drop(8)
	case wireBytes:
		d.bytes()
	case wireGroup:
		d.skipGroup()
	case wireFixed32:
		d.drop(4)
	default:
		d.fail("wire type %d of field %d", d.wire, d.field)
	}
}

func (d *Decoder) drop(n int) {
	if n > len(d.rest) {
		d.fail("field %d is longer than the message", d.field)
		return
	}
	d.rest = d.rest[n:]
}

// maxDepth is how deep groups may be in one another.
const maxDepth = 100

// skipGroup leaves out a group: fields until its end, which may be groups.
func (d *Decoder) skipGroup() {
	within := []int{d.field}
	for len(within) > 0 {
		switch {
		case !d.Next():
			d.fail("a group does not end")
			return
		case d.wire == wireGroup && len(within) < maxDepth:
			within = append(within, d.field)
		case d.wire == wireGroup:
			d.fail("groups are more than %d deep", maxDepth)
			return
		case d.wire != wireGroupEnd:
			d.Skip()
		case d.field != within[len(within)-1]:
			d.fail("the end of group %d in group %d", d.field, within[len(within)-1])
			return
		default:
			within = within[:len(within)-1]
		}
	}
}

// Varint reads an integer, or the number of an enum.
func Varint[N ~int32 | ~int64 | ~uint32 | ~uint64](d *Decoder, to *N) bool {
	if !d.is(wireVarint) {
		return false
	}
	v, ok := d.uvarint()
	if ok {
		*to = N(v)
	}
	return ok
}

// Bool reads a boolean.
func (d *Decoder) Bool(to *bool) bool {
	var v uint64
	ok := Varint(d, &v)
	if ok {
		*to = v != 0
	}
	return ok
}

// String reads a text.
func (d *Decoder) String(to *string) bool {
	if !d.is(wireBytes) {
		return false
	}
	v, ok := d.bytes()
	if !ok {
		return false
	}
	if !utf8.Valid(v) {
		if d.err == nil {
			d.err = fmt.Errorf("field %d: %w", d.field, ErrText)
		}
		return false
	}
	if d.taken {
		*to = unsafe.String(unsafe.SliceData(v), len(v)) //nolint:gosec // nobody changes it any more: Take
	} else {
		*to = string(v)
	}
	return true
}

// Bytes reads bytes, of which the message has a copy.
func (d *Decoder) Bytes(to *[]byte) bool {
	if !d.is(wireBytes) {
		return false
	}
	v, ok := d.bytes()
	if ok {
		*to = append([]byte{}, v...)
	}
	return ok
}

// Strings adds to a repeated string.
func (d *Decoder) Strings(to *[]string) {
	if *to == nil && d.wire == wireBytes {
		*to = make([]string, 0, d.row()) // who converts a message keeps it
	}
	var v string
	if d.String(&v) {
		*to = append(*to, v)
	}
}

// StringMap adds to a map of strings.
func (d *Decoder) StringMap(to *map[string]string) {
	var e entry
	if !d.message(&e) {
		return
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[e.key] = e.value
}

// entry is one of a map.
type entry struct{ key, value string }

func (e *entry) Decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			d.String(&e.key)
		case 2:
			d.String(&e.value)
		default:
			d.Skip()
		}
	}
}

// decodable is what a value that is a message is read by.
type decodable interface{ Decode(d *Decoder) }

// message reads a message.
func (d *Decoder) message(m decodable) bool {
	if !d.is(wireBytes) {
		return false
	}
	v, ok := d.bytes()
	if !ok {
		return false
	}
	after := d.rest
	d.rest = v
	m.Decode(d)
	d.rest = after
	return d.err == nil
}

// pointer is a pointer to a message.
type pointer[M any] interface {
	*M
	decodable
}

// Merge reads a message into what there is of it.
func Merge[M any, P pointer[M]](d *Decoder, to *P) {
	if *to == nil && d.wire == wireBytes {
		*to = &room[M](d, 1)[0]
	}
	d.message(*to)
}

// Add adds to a repeated message all values that follow one another. They have one piece of
// memory.
func Add[M any, P pointer[M]](d *Decoder, to *[]P) {
	if !d.is(wireBytes) {
		return
	}
	all := room[M](d, d.row())
	if *to == nil {
		*to = room[P](d, len(all))[:0]
	}
	*to = slices.Grow(*to, len(all))
	for i := range all {
		if i > 0 && !d.Next() {
			return
		}
		m := P(&all[i])
		if !d.message(m) {
			return
		}
		*to = append(*to, m)
	}
}

// row counts the values that follow one another as the field does that Next has gone to, that
// one included. What is malformed ends it.
func (d *Decoder) row() int {
	ahead := *d
	for n := 1; ; n++ {
		if _, ok := ahead.bytes(); !ok || !ahead.Next() || ahead.field != d.field || ahead.wire != d.wire {
			return n
		}
	}
}
