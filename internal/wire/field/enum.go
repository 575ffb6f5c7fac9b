package field

// Enum maps a word of resource to a number of api and back; what is unknown
// becomes the zero value.
type Enum[R ~string, P ~int32] struct {
	toProto   map[R]P
	fromProto map[P]R
}

// NewEnum returns the Enum of a table.
func NewEnum[R ~string, P ~int32](toProto map[R]P) Enum[R, P] {
	e := Enum[R, P]{toProto: toProto, fromProto: make(map[P]R, len(toProto))}
	for r, p := range toProto {
		e.fromProto[p] = r
	}
	return e
}

// ToProto returns the number of a word.
func (e Enum[R, P]) ToProto(r R) P { return e.toProto[r] }

// FromProto returns the word of a number.
func (e Enum[R, P]) FromProto(p P) R { return e.fromProto[p] }
