package output

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Sheet is blocks of indented rows, each below a headline; the columns of each
// block are aligned.
type Sheet struct {
	lines []string
}

// Headline begins a block.
func (s *Sheet) Headline(text string) { s.lines = append(s.lines, Printable(text)) }

// Row adds a row to the block. Control characters become "?".
func (s *Sheet) Row(cells ...string) {
	shown := make([]string, len(cells))
	for i, c := range cells {
		shown[i] = Printable(c)
	}
	s.lines = append(s.lines, "  "+strings.Join(shown, "\t"))
}

// Write writes the sheet.
func (s *Sheet) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	for _, line := range s.lines {
		if _, err := fmt.Fprintln(tw, line); err != nil {
			return err
		}
	}
	return tw.Flush()
}
