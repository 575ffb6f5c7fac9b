// Package message is what the generated messages of api have in common: the binary
// form of Protocol Buffers (https://protobuf.dev/programming-guides/encoding) without
// reflection, and the well-known types in use.
//
// Messages are plain structs. Nothing is registered when a program begins. What
// needs a description of them, such as their JSON form, finds it by MessageName in
// the descriptors of package api.
package message

import (
	"errors"
	"iter"
	"slices"
	"sync"
)

// Message is a generated message.
type Message interface {
	// MessageName is the full name in the contract, such as "patchbay.types.v1.Route".
	MessageName() string
	// Encode appends the fields to e. A nil message has none.
	Encode(e *Encoder)
	// Decode merges the fields of d into the message. What d has no field for is left
	// out. Errors are in d.
	Decode(d *Decoder)
	// Reset makes the message empty.
	Reset()
}

// ErrMalformed is in the error of what is no message in binary form.
var ErrMalformed = errors.New("malformed message")

// ErrText is in the error of a string that is not UTF-8, which no message may have.
var ErrText = errors.New("string is not UTF-8")

// Append appends m in binary form to b.
func Append(b []byte, m Message) ([]byte, error) {
	if list, ok := m.(interface{ fieldsSize() int }); ok {
		b = slices.Grow(b, list.fieldsSize())
	}
	return appendTo(b, m, nil)
}

// Apart is what follows a message that was encoded without it. Nobody changes it.
type Apart struct {
	Parts [][]byte                 // those that were made before
	Made  iter.Seq2[[]byte, error] // those that are made when they are wanted, each in the memory of the one before; nil: none
}

// AppendApart is Append for who can send several pieces of memory: the parts that m was made of
// (SetFields, SetSequence), which follow b, are not copied.
func AppendApart(b []byte, m Message) (head []byte, rest Apart, err error) {
	head, err = appendTo(b, m, &rest)
	return head, rest, err
}

func appendTo(b []byte, m Message, apart *Apart) ([]byte, error) {
	e := Encoder{b: b, apart: apart}
	if cap(b)-len(b) >= enough {
		m.Encode(&e)
		return e.b, e.err
	}
	scratch := scratches.Get().(*[]byte) //nolint:forcetypeassert // there is nothing else in it
	e.b = (*scratch)[:0]
	m.Encode(&e)
	b = append(b, e.b...)
	if *scratch = e.b; cap(e.b) <= maxScratch {
		scratches.Put(scratch)
	}
	return b, e.err
}

const (
	enough     = 512      // bytes of memory into which a message is written at once
	maxScratch = 64 << 10 // bytes of memory that is kept
)

// scratches are memory to write messages into whose size is not known before.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// Unmarshal makes m what data says.
func Unmarshal(data []byte, m Message) error {
	m.Reset()
	d := Decoder{rest: data}
	m.Decode(&d)
	return d.err
}

// Take is Unmarshal of data that is never changed again: the texts of m are parts of it, and
// each keeps all of it in memory.
func Take(data []byte, m Message) error {
	m.Reset()
	d := Decoder{rest: data, taken: true}
	m.Decode(&d)
	return d.err
}

// The types of values on the wire.
const (
	wireVarint = iota
	wireFixed64
	wireBytes
	wireGroup
	wireGroupEnd
	wireFixed32
)
