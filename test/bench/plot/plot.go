// Package plot draws figures as SVG: curves and bars in small panels beside one another,
// each with an axis of its own that begins at zero, and ratios as dots.
package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Point is one point of a line.
type Point struct{ X, Y float64 }

// Line is one line of a panel.
type Line struct {
	Name   string
	Points []Point
}

// Panel is one diagram. X and Y are not negative.
type Panel struct {
	Title string
	Lines []Line
}

// Sizes in pixels.
const (
	columns     = 3
	panelWidth  = 300
	panelHeight = 190
	left        = 44
	right       = 14
	top         = 30
	bottom      = 30
	head        = 42
	ticks       = 4 // at most, on each axis
)

// colors are those of the lines, in their order; they can be told apart by those
// who see no red or green, and on white as on black.
var colors = []string{"#0072b2", "#d55e00", "#009e73"}

// SVG draws panels with one legend for all of them: that of the lines' names.
func SVG(title string, panels []Panel) []byte {
	rows := (len(panels) + columns - 1) / columns
	width, height := columns*panelWidth, head+rows*panelHeight
	var b bytes.Buffer
	open(&b, width, height, title)
	legend(&b, panels)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%columns*panelWidth, head+i/columns*panelHeight)
		panel(&b, p)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// open begins a picture on white.
func open(b *bytes.Buffer, width, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(b, 8, 18, "start", "bold", title)
}

func legend(b *bytes.Buffer, panels []Panel) {
	var names []string
	for _, p := range panels {
		for _, l := range p.Lines {
			if !slices.Contains(names, l.Name) {
				names = append(names, l.Name)
			}
		}
	}
	at := 8.0
	for i, name := range names {
		fmt.Fprintf(b, `<line x1="%g" y1="32" x2="%g" y2="32" stroke="%s" stroke-width="2"/>`+"\n", at, at+18, colors[i%len(colors)])
		text(b, at+23, 36, "start", "normal", name)
		at += 40 + 6.5*float64(len(name))
	}
}

func panel(b *bytes.Buffer, p Panel) {
	var maxX, maxY float64
	for _, l := range p.Lines {
		for _, at := range l.Points {
			maxX, maxY = max(maxX, at.X), max(maxY, at.Y)
		}
	}
	toX, toY := Axis(maxX, ticks), Axis(maxY*1.05, ticks)
	x := scale{0, last(toX), left, panelWidth - right}
	y := scale{0, last(toY), panelHeight - bottom, top}
	text(b, left, 18, "start", "bold", p.Title)
	for _, v := range toY {
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", left, y.at(v), panelWidth-right, y.at(v))
		text(b, left-5, y.at(v)+4, "end", "normal", number(v))
	}
	for _, v := range toX {
		text(b, x.at(v), panelHeight-bottom+15, "middle", "normal", number(v))
	}
	for i, l := range p.Lines {
		var points []string
		for _, at := range l.Points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(at.X), y.at(at.Y)))
		}
		color := colors[i%len(colors)]
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", color, strings.Join(points, " "))
		for _, at := range l.Points {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", x.at(at.X), y.at(at.Y), color)
		}
	}
}

// scale maps values to pixels.
type scale struct{ from, to, begin, end float64 }

func (s scale) at(v float64) float64 {
	if s.to == s.from {
		return s.begin
	}
	return s.begin + (v-s.from)/(s.to-s.from)*(s.end-s.begin)
}

// Axis returns round values from 0 to one that is not below most, with at most n
// steps of 1, 2 or 5 times a power of ten.
func Axis(most float64, n int) []float64 {
	if most <= 0 {
		return []float64{0, 1}
	}
	power := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	step := 10 * power
	for _, factor := range []float64{1, 2, 5} {
		if factor*power*float64(n) >= most {
			step = factor * power
			break
		}
	}
	var out []float64
	for i := 0; ; i++ {
		out = append(out, float64(i)*step)
		if last(out) >= most {
			return out
		}
	}
}

func last(values []float64) float64 { return values[len(values)-1] }

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func text(b *bytes.Buffer, x, y float64, anchor, weight, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-weight="%s" fill="#222222">`, x, y, anchor, weight)
	_ = xml.EscapeText(b, []byte(s)) // a buffer takes all
	b.WriteString("</text>\n")
}
