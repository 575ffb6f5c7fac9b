package plot

import (
	"bytes"
	"fmt"
	"math"
)

// Dot is a value in comparison with 1, on a line of its own.
type Dot struct {
	Name      string
	Value     float64 // positive
	Low, High float64 // where it may lie, positive
	Good      bool
}

// Sizes of pictures of a line for each value, in pixels.
const (
	lineHeight = 18
	nameWidth  = 500
	dotsWidth  = 1000
)

// Colors of what is good, and of what is not: the first two of lines.
var goodColor, badColor = colors[0], colors[1]

// Dots draws values on a logarithmic scale, with a mark at 1.
func Dots(title string, dots []Dot) []byte {
	least, most := 0.5, 2.0
	for _, d := range dots {
		least, most = min(least, d.Low), max(most, d.High)
	}
	x := scale{math.Log10(least) - 0.15, math.Log10(most) + 0.15, nameWidth, dotsWidth - right}
	at := func(v float64) float64 { return x.at(math.Log10(v)) }
	height := head + lineHeight*len(dots) + bottom
	var b bytes.Buffer
	open(&b, dotsWidth, height, title)
	for _, v := range decades(least, most) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#dddddd"/>`+"\n", at(v), head-8, at(v), height-bottom)
		text(&b, at(v), float64(height-bottom+15), "middle", "normal", number(v))
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#222222" stroke-width="2"/>`+"\n", at(1), head-8, at(1), height-bottom)
	for i, d := range dots {
		y := float64(head + lineHeight*i + lineHeight/2)
		color := badColor
		if d.Good {
			color = goodColor
		}
		text(&b, nameWidth-8, y+4, "end", "normal", d.Name)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`+"\n", at(d.Low), y, at(d.High), y, color)
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", at(d.Value), y, color)
		// Beside the line, on the side away from the mark.
		if d.Value < 1 {
			text(&b, at(d.Low)-7, y+4, "end", "normal", short(d.Value))
		} else {
			text(&b, at(d.High)+7, y+4, "start", "normal", short(d.Value))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// decades are the powers of ten from least to most, and their doubles and fives.
func decades(least, most float64) []float64 {
	var out []float64
	for power := math.Floor(math.Log10(least)); power <= math.Ceil(math.Log10(most)); power++ {
		for _, factor := range []float64{1, 2, 5} {
			if v := factor * math.Pow(10, power); v >= least && v <= most {
				out = append(out, v)
			}
		}
	}
	return out
}

func short(v float64) string { return fmt.Sprintf("%.2g", v) }
