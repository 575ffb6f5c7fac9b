// Package progress shows the steps of a transfer: as bars on a terminal, else
// as lines.
package progress

import (
	"fmt"
	"io"
	"os"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client/pkg/jsonmessage"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

// Step is how far one part of a transfer has come.
type Step struct {
	ID             string // digest of a blob or name of a file; empty: the whole
	Name           string // "download", "unpack", ...
	Current, Total int64  // bytes; a Total of 0 is unknown
}

// Display shows steps. Its methods are for one goroutine at a time.
type Display struct {
	view view
}

type view interface {
	show(Step)
	close()
}

// New returns a display on w.
func New(w io.Writer) *Display {
	if f, ok := w.(*os.File); ok && terminal.Is(f) {
		return &Display{view: newBars(f)}
	}
	return &Display{view: &plain{out: w, last: map[string]string{}}}
}

// None returns a display that shows nothing.
func None() *Display { return &Display{} }

// Show shows a step.
func (d *Display) Show(s Step) {
	if d.view != nil {
		d.view.show(s)
	}
}

// Close ends the display. It may be called again.
func (d *Display) Close() {
	if d.view != nil {
		d.view.close()
	}
	d.view = nil
}

// plain writes a line where the step of a part changes.
type plain struct {
	out  io.Writer
	last map[string]string
}

func (p *plain) show(s Step) {
	if p.last[s.ID] == s.Name {
		return
	}
	p.last[s.ID] = s.Name
	switch {
	case s.ID == "":
		fmt.Fprintln(p.out, s.Name)
	case s.Total > 0:
		fmt.Fprintf(p.out, "%s: %s %s\n", label(s.ID), s.Name, output.Size(s.Total))
	default:
		fmt.Fprintf(p.out, "%s: %s\n", label(s.ID), s.Name)
	}
}

func (p *plain) close() {}

func label(id string) string { return output.ShortDigest(id, false) }

// bars has a bar for each part.
type bars struct {
	messages chan jsonstream.Message
	drawn    chan struct{}
}

func newBars(out *os.File) *bars {
	b := &bars{messages: make(chan jsonstream.Message), drawn: make(chan struct{})}
	go func() {
		defer close(b.drawn)
		all := func(yield func(jsonstream.Message, error) bool) {
			for m := range b.messages {
				yield(m, nil) // goes on: no message is an error
			}
		}
		_ = jsonmessage.DisplayJSONMessages(all, out, out.Fd(), true, nil)
	}()
	return b
}

func (b *bars) show(s Step) {
	if s.ID == "" {
		return // the parts say it all
	}
	b.messages <- jsonstream.Message{
		ID: label(s.ID), Status: s.Name,
		Progress: &jsonstream.Progress{Current: s.Current, Total: s.Total},
	}
}

func (b *bars) close() {
	close(b.messages)
	<-b.drawn
}
