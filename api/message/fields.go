package message

// Fields are fields of a message in binary form, beside those of the struct: a message with
// lists of messages may be made of parts that were encoded before. Such a one is to be sent;
// who reads the struct's fields does not find them.
type Fields struct{ parts [][]byte }

// SetFields makes a message of parts, each of which is a message of its type in binary form:
// its lists have what all parts have, one after the other
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
func (f *Fields) SetFields(parts [][]byte) { f.parts = parts }

// fieldsSize is how long the parts are.
func (f *Fields) fieldsSize() (n int) {
	for _, part := range f.parts {
		n += len(part)
	}
	return n
}

// Fields appends what SetFields has set, unless it is to stay apart.
func (e *Encoder) Fields(f Fields) {
	if e.apart != nil && e.depth == 0 {
		*e.apart = f.parts
		return
	}
	for _, part := range f.parts {
		e.b = append(e.b, part...)
	}
}
