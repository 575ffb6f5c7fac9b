package main

import (
	"bytes"
	"fmt"
	"html"
)

// Sizes in pixels.
const (
	width  = 960
	left   = 170
	right  = 20
	top    = 40
	height = 46 // of a lane
	bar    = 14
)

// draw returns the lanes below one axis of time, as SVG.
func draw(lanes []lane) []byte {
	last := 1.0
	for _, l := range lanes {
		last = max(last, l.end)
	}
	x := func(at float64) float64 { return left + at/last*(width-left-right) }
	bottom := top + height*len(lanes)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, bottom+30)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, bottom+30)
	legend := left
	for _, k := range kinds {
		fmt.Fprintf(&b, `<rect x="%d" y="8" width="4" height="%d" fill="%s"/><text x="%d" y="19">%s</text>`+"\n", legend, bar, k.colour, legend+8, k.name)
		legend += 80
	}
	step := 10.0
	for last/step > 12 {
		step *= 2
	}
	for at := 0.0; at <= last; at += step {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%.0f ms</text>`+"\n",
			x(at), top-10, x(at), bottom, x(at), bottom+16, at)
	}
	for i, l := range lanes {
		y := top + height*i + 18
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+11, html.EscapeString(l.name))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#eee" stroke="#bbb"/>`+"\n", x(l.begin), y, max(1, x(l.end)-x(l.begin)), bar)
		var labelled [2]float64 // up to where there is text above and below
		for _, m := range l.marks {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="2" height="%d" fill="%s"/>`+"\n", x(m.at), y, bar, colour(m.kind))
			for row, baseline := range []int{y - 4, y + bar + 11} {
				if m.kind == "call" && x(m.at) > labelled[row] {
					fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", x(m.at), baseline, html.EscapeString(m.text))
					labelled[row] = x(m.at) + 7*float64(len(m.text))
					break
				}
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func colour(kind string) string {
	for _, k := range kinds {
		if k.name == kind {
			return k.colour
		}
	}
	return "black"
}
