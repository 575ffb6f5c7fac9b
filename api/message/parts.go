package message

import "iter"

// List is a message with Fields.
type List[M any] interface {
	*M
	Message
	kept() [][]byte
}

// kept is what SetFields has set.
func (f *Fields) kept() [][]byte { return f.parts } //nolint:unused // Parts asks for it, by List

// Parts returns what a list has, for who looks once at each thing in it: at first the message as it is, with what the
// fields of its struct have, and then each field of the parts that SetFields has set, in a message with that
// alone. Of those one takes the memory of the one before, but for lists and maps of texts. Texts are parts of the
// data, which nobody changes any more. The first error ends it.
func Parts[M any, P List[M]](whole P) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		if !yield(whole, nil) {
			return
		}
		part, d := P(new(M)), Decoder{taken: true, memory: memory{}}
		for _, rest := range whole.kept() {
			for len(rest) > 0 {
				if d.rest, rest, d.err = cutField(rest); d.err == nil {
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
}

// cutField returns the first field of a message, and what follows it.
func cutField(data []byte) (field, rest []byte, err error) {
	d := Decoder{rest: data}
	if d.Next() {
		d.Skip()
	}
	return data[:len(data)-len(d.rest)], d.rest, d.err
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
