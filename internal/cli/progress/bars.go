package progress

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"patchbay.dev/patchbay/internal/cli/output"
)

const (
	barWidth = 40                     // characters, its ends included
	pause    = 100 * time.Millisecond // between two pictures that differ in numbers alone
)

// bars has a bar for each part, in the order in which they were first shown.
type bars struct {
	screen interface {
		Show(text string) error
		Close() error
	}
	parts []*Step
	byID  map[string]*Step
	drawn time.Time
}

func (b *bars) show(s Step) {
	if s.ID == "" {
		return // the parts say it all
	}
	part := b.byID[s.ID]
	if part == nil {
		part = new(Step)
		b.byID[s.ID], b.parts = part, append(b.parts, part)
	}
	news := s.Name != part.Name
	if s.Total == 0 {
		s.Total = part.Total // it stays what is known
	}
	if *part = s; news || time.Since(b.drawn) >= pause {
		b.draw()
	}
}

// draw shows all bars. A terminal that takes nothing more is nothing that a transfer fails of.
func (b *bars) draw() {
	b.drawn = time.Now()
	_ = b.screen.Show(picture(b.parts))
}

func (b *bars) close() {
	if len(b.parts) > 0 {
		b.draw()
	}
	_ = b.screen.Close()
}

// picture is a line for each part.
func picture(parts []*Step) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	for _, p := range parts {
		fmt.Fprintf(w, "%s\t%s\t[%s] %s\n", label(p.ID), p.Name, fill(*p), counter(*p))
	}
	w.Flush() //nolint:errcheck // of a text in memory
	return text.String()
}

// fill is the inside of a bar.
func fill(s Step) string {
	const room = int64(barWidth - len("[]"))
	done := int64(0)
	switch {
	case s.Name == "done" || s.Name == "present":
		done = room
	case s.Total > 0:
		done = room * min(max(s.Current, 0), s.Total) / s.Total
	}
	if done == room {
		return strings.Repeat("=", int(done))
	}
	return strings.Repeat("=", int(done)) + ">" + strings.Repeat("-", int(room-done)-1)
}

func counter(s Step) string {
	if s.Total <= 0 {
		return output.Size(s.Current)
	}
	return output.Size(s.Current) + " / " + output.Size(s.Total)
}
