package message

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Encoder appends fields. Its methods write what they are given: that fields without
// presence are left out when they are zero is for the caller.
type Encoder struct {
	b     []byte
	err   error
	depth int    // of messages in one another
	apart *Apart // where parts of the outermost message go; nil: into b
}

func (e *Encoder) tag(field, wire int) { e.b = binary.AppendUvarint(e.b, uint64(field<<3|wire)) }

// Varint appends an integer or the number of an enum. One that is negative is converted by its sign.
func (e *Encoder) Varint(field int, v uint64) {
	e.tag(field, wireVarint)
	e.b = binary.AppendUvarint(e.b, v)
}

// Bool appends a boolean.
func (e *Encoder) Bool(field int, v bool) {
	var n uint64
	if v {
		n = 1
	}
	e.Varint(field, n)
}

// String appends a text.
func (e *Encoder) String(field int, s string) {
	if e.err == nil && !utf8.ValidString(s) {
		e.err = fmt.Errorf("field %d: %w", field, ErrText)
	}
	e.tag(field, wireBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

// Bytes appends bytes.
func (e *Encoder) Bytes(field int, s []byte) {
	e.tag(field, wireBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

// Strings appends a repeated string.
func (e *Encoder) Strings(field int, all []string) {
	for _, s := range all {
		e.String(field, s)
	}
}

// StringMap appends a map of strings, in any order.
func (e *Encoder) StringMap(field int, all map[string]string) {
	for k, v := range all {
		begin := e.begin(field)
		e.String(1, k)
		e.String(2, v)
		e.end(begin)
	}
}

// Message appends a message, which is not nil.
func (e *Encoder) Message(field int, m interface{ Encode(e *Encoder) }) {
	begin := e.begin(field)
	m.Encode(e)
	e.end(begin)
}

// EncodeEach appends a repeated message.
func EncodeEach[M interface{ Encode(e *Encoder) }](e *Encoder, field int, all []M) {
	for _, m := range all {
		e.Message(field, m)
	}
}

// begin begins a value whose length end knows. There is room for a short one.
func (e *Encoder) begin(field int) (at int) {
	e.depth++
	e.tag(field, wireBytes)
	e.b = append(e.b, 0)
	return len(e.b)
}

func (e *Encoder) end(begin int) {
	e.depth--
	size := len(e.b) - begin
	if size < 1<<7 {
		e.b[begin-1] = byte(size)
		return
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	e.b = append(e.b, length[:n-1]...) // as much longer as the length is
	copy(e.b[begin+n-1:], e.b[begin:begin+size])
	copy(e.b[begin-1:], length[:n])
}
