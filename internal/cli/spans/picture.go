package spans

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/template"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/trace"
)

// Sizes of the picture, in pixels.
const (
	width      = 1200
	left       = 190 // of the names of processes
	right      = 20
	top        = 30
	rowHeight  = 20
	gap        = 10  // between processes
	letter     = 6.7 // width of one in a label
	ticksAtMax = 12
)

// colours of processes, by what their names begin with.
var colours = []struct{ prefix, fill string }{
	{"patchbay-network-", "#8cd17d"},
	{"patchbay-runtime-", "#f1a35b"},
	{"patchbayd", "#86bcb6"},
	{"patchbay", "#a0cbe8"},
}

const (
	otherColour = "#d4d4d4"
	callColour  = "#f5f5f5" // a call: the time is the called process's
)

// WritePicture draws trees as SVG: time runs to the right, each process has rows of its
// own, and what is below a span is drawn below it. A viewer that shows titles shows all of a span
// when it is pointed at.
func WritePicture(w io.Writer, roots []*Span) error {
	c := canvas{from: beginning(roots)}
	for _, r := range roots {
		c.to = max(c.to, r.Last())
	}
	y := top
	for _, p := range arrange(roots) {
		fmt.Fprintf(&c.body, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+14, escape(p.name))
		for _, row := range stack(p.rows) {
			for _, s := range row {
				c.bar(s, y)
			}
			y += rowHeight
		}
		y += gap
	}
	_, err := w.Write(c.finish(y))
	return err
}

// stack gives each depth of a row of spans that are inside one another a row of its own.
func stack(rows [][]*Span) [][]*Span {
	var out [][]*Span
	for _, row := range rows {
		var levels [][]*Span
		for _, s := range row {
			depth := 0
			for _, other := range row {
				if other != s && other.above(s) {
					depth++
				}
			}
			for len(levels) <= depth {
				levels = append(levels, nil)
			}
			levels[depth] = append(levels[depth], s)
		}
		out = append(out, levels...)
	}
	return out
}

type canvas struct {
	from, to int64
	body     bytes.Buffer
}

func (c *canvas) x(at int64) float64 {
	return left + float64(at-c.from)/float64(max(1, c.to-c.from))*(width-left-right)
}

func (c *canvas) bar(s *Span, y int) {
	end := s.End()
	if !s.Ended {
		end = c.to
	}
	x := c.x(s.Start)
	wide := max(0.8, c.x(end)-x)
	fill, stroke := colourOf(s), "white"
	if s.Kind == trace.Call {
		fill, stroke = callColour, "#bbb"
	}
	if s.Error != "" {
		stroke = "#d62728"
	}
	title := fmt.Sprintf("%s (%s): %.2f ms from %.2f ms on", s.Name, s.Process, milliseconds(int64(s.Duration)), milliseconds(s.Start-c.from))
	for _, more := range []string{noted(s), s.Error} {
		if more != "" {
			title += "; " + more
		}
	}
	fmt.Fprintf(&c.body, `<g><title>%s</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" stroke="%s"/>`,
		escape(title), x, y, wide, rowHeight-1, fill, stroke)
	label := s.Name
	if took := fmt.Sprintf(" %.1f", milliseconds(int64(s.Duration))); fitsInto(label+took, wide) {
		label += took
	}
	if cut := cutTo(label, wide); cut != "" {
		fmt.Fprintf(&c.body, `<text x="%.1f" y="%d">%s</text>`, x+3, y+14, escape(cut))
	}
	c.body.WriteString("</g>\n")
}

// escape makes text fit for XML, which has no control characters.
func escape(text string) string { return template.HTMLEscapeString(output.Printable(text)) }

func fitsInto(label string, wide float64) bool {
	return letter*float64(len([]rune(label)))+6 <= wide
}

// cutTo is what of a label has room; empty, if it would say nothing.
func cutTo(label string, wide float64) string {
	if fitsInto(label, wide) {
		return label
	}
	const least = 4
	n := int((wide - 6) / letter)
	if n < least {
		return ""
	}
	return strings.TrimSpace(string([]rune(label)[:n-1])) + "…"
}

func colourOf(s *Span) string {
	for _, c := range colours {
		if strings.HasPrefix(s.Process, c.prefix) {
			return c.fill
		}
	}
	return otherColour
}

// finish returns the whole picture, with an axis of time behind it.
func (c *canvas) finish(bottom int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, bottom+20)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, bottom+20)
	step := int64(1_000_000) // then 2, 5, 10, 20 ... milliseconds
	for n := 0; (c.to-c.from)/step > ticksAtMax; n++ {
		step = step * []int64{4, 5, 4}[n%3] / 2
	}
	for at := int64(0); at <= c.to-c.from; at += step {
		x := c.x(c.from + at)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%.0f ms</text>`+"\n",
			x, top-10, x, bottom, x, top-14, milliseconds(at))
	}
	b.Write(c.body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}
