package terminal

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestDetachReader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		out      string
		detached bool
	}{
		"hello":             {"hello", false},
		"a\x10\x11b":        {"a", true},
		"\x10\x10\x11":      {"\x10", true},
		"a\x10b\x11":        {"a\x10b\x11", false},
		"\x10":              {"\x10", false},
		"\x11\x10":          {"\x11\x10", false},
		"":                  {"", false},
		"\x10x\x10\x11rest": {"\x10x", true},
	} {
		for name, from := range map[string]io.Reader{
			"whole":   strings.NewReader(in),
			"by byte": iotest.OneByteReader(strings.NewReader(in)),
			"eof":     iotest.DataErrReader(strings.NewReader(in)),
		} {
			detached := 0
			got, err := io.ReadAll(NewDetachReader(from, func() { detached++ }))
			if err != nil || string(got) != want.out || detached != map[bool]int{true: 1}[want.detached] {
				t.Errorf("%q %s: got %q, %v, detached %d times, want %q, %t", in, name, got, err, detached, want.out, want.detached)
			}
		}
	}
}

// Whatever is typed and however it arrives: all up to the keys is passed on.
func TestDetachReaderPassesAllOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(rapid.SampledFrom([]byte{'a', DetachKeys[0], DetachKeys[1]})).Draw(t, "in")
		want, _, _ := bytes.Cut(in, DetachKeys)
		got, err := io.ReadAll(NewDetachReader(iotest.HalfReader(bytes.NewReader(in)), func() {}))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: got %q, %v, want %q", in, got, err, want)
		}
	})
}
