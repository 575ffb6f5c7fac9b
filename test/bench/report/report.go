// Package report writes what was measured as tables: the verdicts on the targets, and
// the figures of each part.
package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
)

// Verdicts is the table of the targets, and below it what stands in the way of
// those that were missed.
func Verdicts(verdicts []goal.Verdict) string {
	var b strings.Builder
	b.WriteString("| what | median | p95 | beside | its median | ratio | 95 % | target | met |\n|---|---:|---:|---|---:|---:|---:|---:|---|\n")
	for i, v := range verdicts {
		what := v.What
		if i > 0 && verdicts[i-1].ID == v.ID {
			what = "the same"
		}
		if v.Subject != goal.Patchbay {
			what += " (" + strings.TrimPrefix(v.Subject, goal.Patchbay+", ") + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", what, middle(v.Of, v.Ours), tail(v.Of, v.Ours),
			beside(v), middle(v.Of, v.Theirs), ratioOf(v), interval(v), boundOf(v), met(v))
	}
	if text := unknowns(verdicts); text != "" {
		b.WriteString("\nWithout a verdict:\n\n" + text)
	}
	if text := missed(verdicts); text != "" {
		b.WriteString("\nWhat stands in the way of the targets that are missed:\n\n" + text)
	}
	return b.String()
}

func met(v goal.Verdict) string {
	text := string(v.Met)
	if v.Met == goal.Missed {
		text = "**no**"
	}
	if v.Open() {
		text += ", open"
	}
	return text
}

func interval(v goal.Verdict) string {
	if v.Range == nil {
		return ""
	}
	return digits(v.Range.Low) + " to " + digits(v.Range.High)
}

// beside is who a figure is compared with, and its ratio to itself where that is known.
func beside(v goal.Verdict) string {
	switch {
	case v.Itself == 0:
		return v.Against
	case v.Alone != 0:
		return v.Against + " (" + digits(v.Itself) + " of itself; " + digits(v.Alone) + " of before and after)"
	}
	return v.Against + " (" + digits(v.Itself) + " of itself)"
}

func ratioOf(v goal.Verdict) string {
	if v.Against == "" || v.Met == goal.Unknown {
		return ""
	}
	return digits(v.Value)
}

func boundOf(v goal.Verdict) string {
	sign := "≤ "
	if v.Least {
		sign = "≥ "
	}
	if v.Against != "" {
		return sign + digits(v.Bound)
	}
	unit := v.Of.Unit
	if unit == "" {
		return sign + trimmed(v.Bound)
	}
	return sign + trimmed(v.Bound) + " " + unit
}

func unknowns(verdicts []goal.Verdict) string {
	var b strings.Builder
	var order []string
	rows := map[string][]string{}
	for _, v := range verdicts {
		if v.Met != goal.Unknown {
			continue
		}
		if rows[v.Why] == nil {
			order = append(order, v.Why)
		}
		if !slices.Contains(rows[v.Why], v.What) {
			rows[v.Why] = append(rows[v.Why], v.What)
		}
	}
	for _, why := range order {
		fmt.Fprintf(&b, "* %s: %s.\n", cell(why), strings.Join(rows[why], "; "))
	}
	return b.String()
}

func missed(verdicts []goal.Verdict) string {
	var b strings.Builder
	said := map[string]bool{}
	for _, v := range verdicts {
		if v.Met != goal.Missed || said[v.ID] {
			continue
		}
		said[v.ID] = true
		text := goal.Obstacle(v.ID)
		if text == "" {
			text = "nobody has found out yet."
		}
		fmt.Fprintf(&b, "* **%s**: %s\n", v.What, text)
	}
	return b.String()
}

// Figures is a table of each part: all subjects of all measurements.
func Figures(parts []result.Part) string {
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s%s\n\n%s, load %s; %s.\n\n", strings.ToUpper(p.Name[:1]), p.Name[1:], p.Begun.UTC().Format("2006-01-02 15:04"), p.Load, p.Took.Round(time.Second))
		for _, note := range p.Notes {
			fmt.Fprintf(&b, "%s\n\n", note)
		}
		b.WriteString("| what | who | rounds | median | p95 | best | worst | patchbay's ratio to it |\n|---|---|---:|---:|---:|---:|---:|---:|\n")
		for _, m := range p.Measurements {
			figures(&b, m)
		}
	}
	return b.String()
}

func figures(b *strings.Builder, m result.Measurement) {
	ours := m.Of(goal.Patchbay)
	what := m.What
	if m.Unit != "" {
		what += ", " + m.Unit
	}
	for _, s := range m.Series {
		if len(s.Values) == 0 {
			fmt.Fprintf(b, "| %s | %s | 0 | left out: %s | | | | |\n", what, s.Subject, cell(s.Fault))
		} else {
			best, worst := 0.0, 1.0
			if m.Higher {
				best, worst = worst, best
			}
			ratio := ""
			if s.Subject != goal.Patchbay && len(ours.Values) > 0 {
				ratio = digits(m.Ratio(ours, s))
			}
			who := s.Subject
			if s.Fault != "" {
				who += " (then: " + cell(s.Fault) + ")"
			}
			fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s | %s | %s |\n", what, who, len(s.Values), digits(result.Median(s.Values)), digits(m.Worst(s)),
				digits(result.Quantile(s.Values, best)), digits(result.Quantile(s.Values, worst)), ratio)
		}
		what = ""
	}
}

// cell is a text that fits a table.
func cell(text string) string {
	if text == "" {
		text = "not measured"
	}
	return strings.NewReplacer("|", "/", "\n", " ").Replace(text)
}

func middle(m result.Measurement, s result.Series) string {
	if len(s.Values) == 0 {
		return "-"
	}
	return quantity(result.Median(s.Values), m.Unit)
}

// tail is left out where too few values have one.
func tail(m result.Measurement, s result.Series) string {
	const enough = 5
	if len(s.Values) < enough {
		return "-"
	}
	return digits(m.Worst(s))
}

func quantity(v float64, unit string) string {
	if unit == "" {
		return digits(v)
	}
	return digits(v) + " " + unit
}

// digits are three that count, or all before the point.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return fmt.Sprintf("%.*f", min(max(0, decimals), 3), v)
}

func trimmed(v float64) string { return fmt.Sprintf("%g", v) }
