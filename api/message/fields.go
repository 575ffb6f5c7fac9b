package message

// Fields are fields of a message in binary form, beside those of the struct: a message with
// lists of messages, and an answer with a message, may be made of parts that were encoded before. Such a one is to
// be sent; who reads the struct's fields does not find them.
type Fields struct{ parts [][]byte }

// SetFields makes a message of parts, each of which is a message of its type in binary form:
// its lists have what all parts have, one after the other, and so have those of the messages in it
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
func (f *Fields) SetFields(parts [][]byte) { f.parts = parts }

// Each makes parts of values, for SetFields: each is the message that alone makes of one.
func Each[T any](values []T, alone func(T) Message) (parts [][]byte, err error) {
	parts = make([][]byte, len(values))
	for i, v := range values {
		if parts[i], err = Append(nil, alone(v)); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Count is how many fields the parts have that SetFields has set, up to the first that is none.
func (f *Fields) Count() (n int) {
	for _, rest := range f.parts {
		for err := error(nil); err == nil && len(rest) > 0; n++ {
			_, rest, err = cutField(rest)
		}
	}
	return n
}

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
