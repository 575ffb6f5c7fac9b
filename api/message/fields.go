package message

import (
	"cmp"
	"io"
	"iter"
)

// Fields are fields of a message in binary form, beside those of the struct: a message with
// lists of messages, and an answer with a message, may be made of parts that were encoded before. Such a one is to
// be sent; who reads the struct's fields does not find them.
type Fields struct{ beside *beside }

// beside is where the parts of a message are, which are messages of its type in binary form: its lists have what all
// parts have, one after the other, and so have those of the messages in it
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
type beside struct {
	parts [][]byte
	made  iter.Seq2[[]byte, error] // further parts; nil: none
	body  *body                    // further parts; nil: none
}

// SetFields makes a message of parts, each of which is a message of its type in binary form.
func (f *Fields) SetFields(parts [][]byte) { f.beside = &beside{parts: parts} }

// SetSequence is SetFields of parts that are made while the message is sent, one in the memory of the one before. When
// one cannot be made, and others were sent before, who is sent the message gets none.
func (f *Fields) SetSequence(parts iter.Seq2[[]byte, error]) { f.beside = &beside{made: parts} }

// SetBody is SetFields of parts that are read when Parts looks at them. Their memory is used for later ones.
// What from has is read up to io.EOF, or to another error, which is that of Parts.
func (f *Fields) SetBody(from io.Reader) { f.beside = &beside{body: &body{from: from}} }

// Sequence makes parts of values one after the other, for SetSequence: each is the message that alone makes of one,
// whose memory is free for the next. The first error ends it.
func Sequence[T any](values iter.Seq2[T, error], alone func(T) Message) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		part := make([]byte, 0, 2*enough)
		for v, err := range values {
			if err == nil {
				part, err = Append(part[:0], alone(v))
			}
			if !yield(part, err) || err != nil {
				return
			}
		}
	}
}

// slabSize is how large the pieces of memory are that Gather takes, in bytes.
const slabSize = 16 << 10

// Gather keeps the parts of a sequence, for SetFields: several of them are one part.
func Gather(parts iter.Seq2[[]byte, error]) (all [][]byte, err error) {
	var slab []byte
	for part, err := range parts {
		if err != nil {
			return nil, err
		}
		if len(slab)+len(part) > cap(slab) {
			if len(slab) > 0 {
				all = append(all, slab)
			}
			slab = make([]byte, 0, max(slabSize, len(part)))
		}
		slab = append(slab, part...)
	}
	if len(slab) > 0 {
		all = append(all, slab)
	}
	return all, nil
}

// fieldsSize is how long the parts are that were made before.
func (f *Fields) fieldsSize() (n int) {
	if f.beside == nil {
		return 0
	}
	for _, part := range f.beside.parts {
		n += len(part)
	}
	return n
}

// Fields appends what f has been set, unless it is to stay apart.
func (e *Encoder) Fields(f Fields) {
	switch {
	case f.beside == nil:
	case e.apart != nil && e.depth == 0:
		*e.apart = Apart{Parts: f.beside.parts, Made: f.beside.made}
	default:
		for _, part := range f.beside.parts {
			e.b = append(e.b, part...)
		}
		e.sequence(f.beside.made)
	}
}

func (e *Encoder) sequence(made iter.Seq2[[]byte, error]) {
	if made == nil {
		return
	}
	for part, err := range made {
		if err != nil {
			e.err = cmp.Or(e.err, err)
			return
		}
		e.b = append(e.b, part...)
	}
}
