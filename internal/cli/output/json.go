package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"iter"
)

// JSON writes v indented, and "<", ">" and "&" as they are. A nil slice should
// not reach it: it would be null where a list is promised.
func JSON(w io.Writer, v any) error {
	out := newIndenter(w)
	if err := out.encode(v); err != nil {
		return err
	}
	return out.end()
}

// JSONList is JSON of a list, which may be nil, without all of its text in memory at once.
func JSONList[T any](w io.Writer, items []T) error {
	return JSONEach(w, func(yield func(*T, error) bool) {
		for i := range items {
			if !yield(&items[i], nil) {
				return
			}
		}
	})
}

// JSONEach is JSONList of what comes one after the other, up to the first error.
func JSONEach[T any](w io.Writer, items iter.Seq2[T, error]) error {
	out := newIndenter(w)
	out.word('[')
	first := true
	for item, err := range items {
		if !first {
			out.word(',')
		}
		first = false
		if err == nil {
			err = out.encode(item)
		}
		if err != nil {
			return err
		}
	}
	out.word(']')
	return out.end()
}

// buffered is how much is written at once, in bytes.
const buffered = 64 << 10

// indenter writes JSON of which each word begins a line where json.Indent has it so. That checks
// again what has just been made, byte by byte, and takes ten times as long as to make it.
type indenter struct {
	out    *bufio.Writer
	level  int
	opened bool // nothing has come since the last bracket, which opens
	text   bool // in the middle of a string
	escape bool // the character after a backslash is next
}

func newIndenter(w io.Writer) *indenter { return &indenter{out: bufio.NewWriterSize(w, buffered)} }

func (i *indenter) encode(v any) error {
	e := json.NewEncoder(i)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (i *indenter) end() error {
	i.out.WriteByte('\n') //nolint:errcheck // Flush returns it
	return i.out.Flush()
}

// Write implements io.Writer. Errors of what is below are those of end.
func (i *indenter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if i.text {
			rest = i.string(rest)
			continue
		}
		i.word(rest[0])
		rest = rest[1:]
	}
	return len(p), nil
}

// string writes the string that rest begins in, up to its end or the next backslash, and
// returns what follows.
func (i *indenter) string(rest []byte) []byte {
	end := 0
	if !i.escape {
		end = bytes.IndexAny(rest, `"\`)
	}
	if end < 0 {
		i.out.Write(rest) //nolint:errcheck // Flush returns it
		return nil
	}
	i.text = i.escape || rest[end] != '"'
	i.escape = !i.escape && rest[end] == '\\'
	i.out.Write(rest[:end+1]) //nolint:errcheck // Flush returns it
	return rest[end+1:]
}

// word writes a byte outside of strings, with the space around it.
func (i *indenter) word(c byte) {
	if c == '\n' { // that of the end of a value
		return
	}
	closes := c == '}' || c == ']'
	if closes {
		i.level--
	}
	if closes != i.opened {
		i.line()
	}
	i.opened = c == '{' || c == '['
	i.text = c == '"'
	i.out.WriteByte(c) //nolint:errcheck // Flush returns it
	switch {
	case i.opened:
		i.level++
	case c == ',':
		i.line()
	case c == ':':
		i.out.WriteByte(' ') //nolint:errcheck // Flush returns it
	}
}

// line begins a line.
func (i *indenter) line() {
	i.out.WriteByte('\n') //nolint:errcheck // Flush returns it
	blanks(i.out, 2*i.level)
}

// some are as many blanks as are usual in a row.
const some = "                                "

// blanks writes blanks. Errors are those of Flush.
func blanks(out *bufio.Writer, count int) {
	for ; count > 0; count -= len(some) {
		out.WriteString(some[:min(count, len(some))]) //nolint:errcheck // Flush returns it
	}
}
