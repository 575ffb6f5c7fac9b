package report

import (
	"strings"

	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/plot"
	"patchbay.dev/patchbay/test/bench/result"
)

// Targets is the picture of which part of its target each figure takes.
func Targets(verdicts []goal.Verdict) []byte {
	var dots []plot.Dot
	for _, v := range verdicts {
		share := v.Share()
		if share == 0 {
			continue
		}
		name := plain(v.What)
		if v.Against != "" {
			name += " / " + v.Against
		}
		if v.Subject != goal.Patchbay {
			name += " (" + strings.TrimPrefix(v.Subject, goal.Patchbay+", ") + ")"
		}
		low, high := v.Shares()
		dots = append(dots, plot.Dot{Name: name, Value: share, Low: low, High: high, Good: v.Met == goal.Met})
	}
	return plot.Dots("Which part of its target each figure takes, and where it is in 95 of 100 runs; left of the line it is met", dots)
}

// Beside is the picture of all that do the same: a panel of bars for each
// measurement that more than one subject took part in.
func Beside(parts []result.Part) []byte {
	var panels []plot.BarPanel
	for _, p := range parts {
		for _, m := range p.Measurements {
			var bars []plot.Bar
			for _, s := range m.Series {
				if len(s.Values) > 0 {
					bars = append(bars, plot.Bar{Name: s.Subject, Value: result.Median(s.Values), Mine: strings.HasPrefix(s.Subject, goal.Patchbay)})
				}
			}
			if len(bars) < 2 {
				continue
			}
			title := plain(m.What)
			if m.Unit != "" {
				title += ", " + m.Unit
			}
			panels = append(panels, plot.BarPanel{Title: title, Bars: bars})
		}
	}
	return plot.Bars("Medians of one run", panels)
}

func plain(text string) string { return strings.ReplaceAll(text, "`", "") }
