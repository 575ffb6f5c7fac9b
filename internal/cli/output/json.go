package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
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

// JSONEach is JSONList of what comes one after the other, up to the first error. What was written
// until then is no JSON.
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

const (
	buffered = 64 << 10 // bytes that are written at once
	most     = 1 << 10  // bytes that a word has with the space around it, but for values that are very deep in one another
)

// Ending is a value that ends with a list whose items come one after the other, so that they are not
// in memory at once. JSONEach writes it as if the list were in the value.
type Ending struct {
	Value any                   // without the list
	Field string                // the name of the list, which would be the last one of Value, or of the value that is the last one of it
	Depth int                   // how many values end with the list; 1: it is in Value itself
	Items iter.Seq2[any, error] // none: the value has no such field
}

func (i *indenter) ending(e Ending) error {
	var head bytes.Buffer
	if err := encode(&head, e.Value); err != nil {
		return err
	}
	end := strings.Repeat("}", e.Depth)
	open, ok := bytes.CutSuffix(bytes.TrimSuffix(head.Bytes(), []byte{'\n'}), []byte(end))
	if !ok {
		return fmt.Errorf("%T does not end with %d values in one another, of which the last has %s", e.Value, e.Depth, e.Field)
	}
	i.Write(open) //nolint:errcheck // end returns it
	begin := `,"` + e.Field + `":[`
	if i.opened {
		begin = begin[1:]
	}
	next, last := begin, ""
	for item, err := range e.Items {
		i.Write([]byte(next)) //nolint:errcheck // end returns it
		next, last = ",", "]"
		if err == nil {
			err = encode(i, item)
		}
		if err != nil {
			return err
		}
	}
	i.Write([]byte(last + end)) //nolint:errcheck // end returns it
	return nil
}

// encode writes v in one line, its end included.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// indenter writes JSON of which each word begins a line where json.Indent has it so. That checks
// again what has just been made, byte by byte, and takes ten times as long as to make it.
type indenter struct {
	out    io.Writer
	b      []byte // what was not written yet
	err    error  // the first one of out, after which nothing is written
	level  int
	opened bool // nothing has come since the last bracket, which opens
	text   bool // in the middle of a string
	escape bool // the character after a backslash is next
}

func newIndenter(w io.Writer) *indenter { return &indenter{out: w, b: make([]byte, 0, buffered)} }

func (i *indenter) encode(v any) error {
	if e, ok := v.(Ending); ok {
		return i.ending(e)
	}
	return encode(i, v)
}

func (i *indenter) end() error {
	i.b = append(i.b, '\n')
	i.flush()
	return i.err
}

func (i *indenter) flush() {
	if i.err == nil {
		_, i.err = i.out.Write(i.b)
	}
	i.b = i.b[:0]
}

// Write implements io.Writer. Errors of what is below are those of end.
func (i *indenter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if len(i.b) > buffered-most {
			i.flush()
		}
		if i.text {
			rest = i.string(rest)
			continue
		}
		i.word(rest[0])
		rest = rest[1:]
	}
	return len(p), nil
}

// string writes the string that rest begins in, up to its end or the next backslash or as much
// as there is room for, and returns what follows.
func (i *indenter) string(rest []byte) []byte {
	part := rest[:min(len(rest), most)]
	if i.escape {
		i.escape = false
		i.b = append(i.b, part[0])
		return rest[1:]
	}
	if end := bytes.IndexByte(part, '"'); end >= 0 {
		part, i.text = part[:end+1], false
	}
	if end := bytes.IndexByte(part, '\\'); end >= 0 {
		part, i.text, i.escape = part[:end+1], true, true
	}
	i.b = append(i.b, part...)
	return rest[len(part):]
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
	i.b = append(i.b, c)
	switch {
	case i.opened:
		i.level++
	case c == ',':
		i.line()
	case c == ':':
		i.b = append(i.b, ' ')
	}
}

// line begins a line.
func (i *indenter) line() {
	i.b = append(i.b, '\n')
	for count := 2 * i.level; count > 0; count -= len(some) {
		i.b = append(i.b, some[:min(count, len(some))]...)
	}
}

// some are as many blanks as are usual in a row.
const some = "                                "

// blanks writes blanks. Errors are those of Flush.
func blanks(out *bufio.Writer, count int) {
	for ; count > 0; count -= len(some) {
		out.WriteString(some[:min(count, len(some))]) //nolint:errcheck // Flush returns it
	}
}
