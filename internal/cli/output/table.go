package output

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"
)

// Table is rows below a header, in columns. It keeps copies of what it is given, one after the other: of a
// command that shows a thousand rows, memory that is used for the first time takes the most.
type Table struct {
	pieces [][]byte // each of whole rows
	widths []int    // of the columns, in characters
	row    []byte   // that is being added; takes the memory of the one before
	column int      // of the next cell in it
}

// What ends a cell, and the last one of a row. No cell has either, for both are control characters.
const (
	cellEnd = '\t'
	rowEnd  = '\n'
)

// pieceSize is for how many bytes of rows there is room at once, unless a row is longer.
const pieceSize = 16 << 10

// gap is how many spaces are between the widest cell of a column and the next one.
const gap = 3

// NewTable returns a table with its header.
func NewTable(header ...string) *Table {
	t := new(Table)
	t.Add(header...)
	return t
}

// Add adds cells to the row and ends it, as Cell and End do.
func (t *Table) Add(cells ...string) {
	for _, c := range cells {
		Cell(t, c)
	}
	t.End()
}

// Cell adds a cell to the row, which End ends. An empty cell becomes "-", so that columns stay
// countable for awk(1); control characters, which could drive a terminal, become "?".
func Cell[T string | []byte](t *Table, text T) {
	begin := len(t.row)
	switch {
	case len(text) == 0:
		t.row = append(t.row, '-')
	case plain(text):
		t.row = append(t.row, text...)
	default:
		t.row = append(t.row, Printable(string(text))...)
	}
	t.endCell(begin)
}

// ShortCell is Cell for a text that is cut as Short does.
func ShortCell[T string | []byte](t *Table, text T, n int, whole bool) {
	switch {
	case whole || len(text) <= n:
		Cell(t, text)
		return
	case !plain(text):
		Cell(t, Short(string(text), n, false))
		return
	}
	begin := len(t.row)
	t.row = append(append(t.row, text[:n-1]...), ellipsis...)
	t.endCell(begin)
}

// endCell ends the cell that begins there in the row.
func (t *Table) endCell(begin int) {
	if t.column == len(t.widths) {
		t.widths = append(t.widths, 0)
	}
	t.widths[t.column] = max(t.widths[t.column], utf8.RuneCount(t.row[begin:])+gap)
	t.row = append(t.row, cellEnd)
	t.column++
}

// End ends the row.
func (t *Table) End() {
	if len(t.row) == 0 {
		t.row = append(t.row, rowEnd)
	}
	t.row[len(t.row)-1] = rowEnd
	last := len(t.pieces) - 1
	if last < 0 || cap(t.pieces[last])-len(t.pieces[last]) < len(t.row) {
		t.pieces = append(t.pieces, make([]byte, 0, max(pieceSize, len(t.row))))
		last++
	}
	t.pieces[last] = append(t.pieces[last], t.row...)
	t.row, t.column = t.row[:0], 0
}

// plain reports whether a text has printable characters of ASCII alone.
func plain[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// Write writes the table. A character counts as one column of a terminal.
func (t *Table) Write(w io.Writer) error {
	out := bufio.NewWriterSize(w, buffered)
	for _, rest := range t.pieces {
		for column := 0; len(rest) > 0; {
			end := bytes.IndexAny(rest, string([]byte{cellEnd, rowEnd}))
			cell, ended := rest[:end], rest[end] == rowEnd
			rest = rest[end+1:]
			out.Write(cell) //nolint:errcheck // Flush returns it
			if ended {
				out.WriteByte(rowEnd) //nolint:errcheck // Flush returns it
				column = 0
				continue
			}
			blanks(out, t.widths[column]-utf8.RuneCount(cell))
			column++
		}
	}
	return out.Flush()
}
