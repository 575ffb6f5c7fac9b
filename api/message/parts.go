package message

import (
	"io"
	"iter"
)

// List is a message with Fields.
type List[M any] interface {
	*M
	Message
	besides() *beside
}

// besides is what was set.
func (f *Fields) besides() *beside { return f.beside } //nolint:unused // Parts asks for it, by List

// Parts returns what a list has, for who looks once at each thing in it: at first the message as it is, with what the
// fields of its struct have, and then each field of the parts that SetFields or SetBody has set, in a message with that
// alone. Of those one takes the memory of the one before, but for lists and maps of texts. Texts are parts of the
// data: of SetFields', which nobody changes any more, or of SetBody's, which are valid until the next part. A range over the sequence goes on where
// the one before has ended. The first error ends it.
func Parts[M any, P List[M]](whole P) iter.Seq2[P, error] {
	part, d, begun := P(new(M)), Decoder{taken: true, memory: memory{}}, false
	fields := whole.besides().fields()
	return func(yield func(P, error) bool) {
		if !begun {
			begun = true
			if !yield(whole, nil) {
				return
			}
		}
		for d.err == nil {
			var err error
			if d.rest, err = fields(); err == io.EOF { //nolint:errorlint // it is that of fields itself
				return
			}
			if d.err = err; err == nil {
				d.memory.free()
				part.Reset()
				part.Decode(&d)
			}
			if d.err != nil {
				yield(nil, d.err)
				return
			}
			if !yield(part, nil) {
				return
			}
		}
	}
}

// fields returns what returns the fields of all parts, one at each call, then io.EOF.
func (b *beside) fields() func() ([]byte, error) {
	if b == nil {
		return func() ([]byte, error) { return nil, io.EOF }
	}
	parts, rest := b.parts, []byte(nil)
	return func() (field []byte, err error) {
		for len(rest) == 0 && len(parts) > 0 {
			rest, parts = parts[0], parts[1:]
		}
		switch {
		case len(rest) > 0:
			field, rest, err = cutField(rest)
		case b.body != nil:
			return b.body.field()
		default:
			err = io.EOF
		}
		return field, err
	}
}

// body is parts that come by a reader.
type body struct {
	from io.Reader
	b    []byte // what was read, and not looked at yet
	room []byte // memory that b is the end of
	err  error  // of from
}

// bodySize is how much is read at once, in bytes, unless a field is larger.
const bodySize = 16 << 10

// field returns the next field, valid until the next call; io.EOF after the last one.
func (r *body) field() (field []byte, err error) {
	for {
		ended := r.err != nil
		if len(r.b) > 0 {
			d := Decoder{rest: r.b, brief: !ended}
			if field, err = d.cut(); err == nil {
				r.b = d.rest
				return field, nil
			}
		}
		switch {
		case !ended:
			r.read()
		case len(r.b) > 0 && r.err == io.EOF: //nolint:errorlint // a reader returns it as it is
			return nil, err
		default:
			return nil, r.err
		}
	}
}

// read reads more behind what there is.
func (r *body) read() {
	if len(r.b) == len(r.room) {
		r.room = make([]byte, max(bodySize, 2*len(r.room)))
	}
	kept := copy(r.room, r.b)
	n, err := r.from.Read(r.room[kept:])
	r.b, r.err = r.room[:kept+n], err
}

// cutField returns the first field of a message, and what follows it.
func cutField(data []byte) (field, rest []byte, err error) {
	d := Decoder{rest: data}
	field, err = d.cut()
	return field, d.rest, err
}

// cut goes past the next field.
func (d *Decoder) cut() (field []byte, err error) {
	data := d.rest
	if d.Next() {
		d.Skip()
	}
	return data[:len(data)-len(d.rest)], d.err
}

// memory is what messages are read into that are read one after the other: a slab of each type.
type memory map[any]interface{ free() }

// free has all of it taken again.
func (m memory) free() {
	for _, s := range m {
		s.free()
	}
}

// slab is memory for values of a type.
type slab[T any] struct {
	values []T
	taken  int
}

func (s *slab[T]) free() { s.taken = 0 }

// take returns room for values that are zero. What was taken of a slab that was too small stays
// with who has taken it.
func (s *slab[T]) take(count int) []T {
	if s.taken+count > len(s.values) {
		s.values, s.taken = make([]T, max(count, 2*len(s.values))), 0
	}
	out := s.values[s.taken : s.taken+count : s.taken+count]
	s.taken += count
	clear(out)
	return out
}

// room returns memory for values that are zero, which the decoder's messages have for good unless it
// reads into the same memory again.
func room[T any](d *Decoder, count int) []T {
	if d.memory == nil {
		return make([]T, count)
	}
	s, ok := d.memory[(*T)(nil)].(*slab[T])
	if !ok {
		s = new(slab[T])
		d.memory[(*T)(nil)] = s
	}
	return s.take(count)
}
