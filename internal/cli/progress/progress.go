// Package progress shows the steps of a transfer: as bars on a terminal, else
// as lines.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

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
		return &Display{view: &bars{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), byID: map[string]*bar{}}}
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
	progress *mpb.Progress
	byID     map[string]*bar
}

type bar struct {
	*mpb.Bar
	step atomic.Pointer[string] // drawn by another goroutine
}

func (b *bars) show(s Step) {
	if s.ID == "" {
		return // the parts say it all
	}
	current := b.byID[s.ID]
	if current == nil {
		current = new(bar)
		current.step.Store(&s.Name)
		name := label(s.ID)
		current.Bar = b.progress.AddBar(s.Total,
			mpb.PrependDecorators(
				decor.Name(name, decor.WCSyncSpaceR),
				decor.Any(func(decor.Statistics) string { return *current.step.Load() }, decor.WCSyncSpaceR),
			),
			mpb.AppendDecorators(decor.Any(counter)))
		b.byID[s.ID] = current
	}
	current.step.Store(&s.Name)
	if s.Total > 0 {
		current.SetTotal(s.Total, false)
	}
	current.SetCurrent(s.Current)
	if s.Name == "done" || s.Name == "present" {
		current.SetTotal(-1, true)
	}
}

func counter(s decor.Statistics) string {
	if s.Total <= 0 {
		return output.Size(s.Current)
	}
	return output.Size(s.Current) + " / " + output.Size(s.Total)
}

func (b *bars) close() {
	for _, bar := range b.byID {
		bar.Abort(false)
	}
	b.progress.Wait()
}
