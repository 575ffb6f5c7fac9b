package plot

import (
	"bytes"
	"fmt"
)

// Bar is one value that is not negative.
type Bar struct {
	Name  string
	Value float64
	Mine  bool // in a color of its own
}

// BarPanel is bars with a scale of their own that begins at zero.
type BarPanel struct {
	Title string
	Bars  []Bar
}

// Sizes of panels of bars, in pixels.
const (
	barColumns = 2
	barWidth   = 450
	barName    = 150
	barValue   = 60 // room for the number behind the longest bar
)

// Bars draws panels, each as high as its row needs.
func Bars(title string, panels []BarPanel) []byte {
	var tops []int // of the rows
	at := head
	for i := 0; i < len(panels); i += barColumns {
		tops = append(tops, at)
		most := 0
		for _, p := range panels[i:min(i+barColumns, len(panels))] {
			most = max(most, len(p.Bars))
		}
		at += top + lineHeight*most + 10
	}
	var b bytes.Buffer
	open(&b, barColumns*barWidth, at, title)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%barColumns*barWidth, tops[i/barColumns])
		bars(&b, p)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func bars(b *bytes.Buffer, p BarPanel) {
	var most float64
	for _, bar := range p.Bars {
		most = max(most, bar.Value)
	}
	x := scale{0, most, barName, barWidth - barValue}
	text(b, 8, 18, "start", "bold", p.Title)
	for i, bar := range p.Bars {
		y := float64(top + lineHeight*i)
		color := "#999999"
		if bar.Mine {
			color = goodColor
		}
		text(b, barName-6, y+12, "end", "normal", bar.Name)
		fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", barName, y+2, max(1, x.at(bar.Value)-barName), lineHeight-5, color)
		text(b, max(barName+1, x.at(bar.Value))+5, y+12, "start", "normal", short3(bar.Value))
	}
}

func short3(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
