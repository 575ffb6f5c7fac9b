package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"time"

	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/machine"
	"patchbay.dev/patchbay/test/bench/result"
)

func (r report) tables() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d processors, Linux %s, %s, load %s; %d containers on %d networks each, of %d, %d published TCP ports; %v in all. Rounds on either way: %d beside none and beside all, %d between.\n\n",
		runtime.NumCPU(), machine.Release(), r.begun.UTC().Format(time.DateOnly), r.load,
		r.containers, r.networksEach, r.settings.networks, r.ports, r.took.Round(time.Second), r.rounds, r.roundsAt(1))
	r.ratios(&b)
	r.levels(&b)
	r.controls(&b)
	r.sequences(&b)
	r.uses(&b)
	return b.String()
}

// The subjects of a table's comparisons.
const (
	subject = "subject"
	base    = "base"
)

// compared is the ratio of the two series of a measurement, and its interval as a table has it.
func compared(m result.Measurement) (ratio float64, interval string) {
	s, b := m.Of(subject), m.Of(base)
	if i, ok := m.Interval(s, &b); ok {
		interval = fmt.Sprintf("%.2f to %.2f", i.Low, i.High)
	}
	return m.Ratio(s, b), interval
}

// header is that of a table with a column for each level, and one more.
func (r report) header(b *bytes.Buffer, what string, more ...string) {
	b.WriteString("| " + what)
	for _, n := range r.steps() {
		fmt.Fprintf(b, " | %d", n)
	}
	for _, column := range more {
		b.WriteString(" | " + column)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(r.steps())+len(more)) + "|\n")
}

// ratios is the table of what operations take of the same on the empty host.
func (r report) ratios(b *bytes.Buffer) {
	r.header(b, "of the empty host's time, beside", "95 % of the last")
	for _, c := range r.curves {
		fmt.Fprintf(b, "| %s", c.Name)
		interval := ""
		for _, p := range c.Levels() {
			var ratio float64
			ratio, interval = compared(p.Measurement(subject, base))
			fmt.Fprintf(b, " | %.2f", ratio)
		}
		fmt.Fprintf(b, " | %s |\n", interval)
	}
	b.WriteString("\n")
}

// levels is the table of the operations beside each number of containers.
func (r report) levels(b *bytes.Buffer) {
	r.header(b, "median ms beside")
	for _, c := range r.curves {
		fmt.Fprintf(b, "| %s", c.Name)
		for _, p := range c.Levels() {
			fmt.Fprintf(b, " | %s", milliseconds(curve.Median(p.Full())))
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n")
}

// controls is the table of what the ratios do not show: what the empty host's own operations take
// while the other one is full, beside what they took before it filled and after.
func (r report) controls(b *bytes.Buffer) {
	fmt.Fprintf(b, "| the empty host, median ms | before | beside %d | after | beside / before and after | 95 %% |\n|---|---:|---:|---:|---:|---:|\n", r.containers)
	for _, c := range r.curves {
		levels := c.Levels()
		if len(levels) < 2 || len(c.Up) == 0 || len(c.Down) == 0 {
			continue
		}
		before, after, first, last := c.Up[0], c.Down[len(c.Down)-1], levels[0], levels[len(levels)-1]
		ratio, interval := compared(result.Measurement{Unpaired: true, Series: []result.Series{
			{Subject: subject, Values: result.Milliseconds(last.Empty())}, {Subject: base, Values: result.Milliseconds(first.Empty())},
		}})
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2f | %s |\n", c.Name, milliseconds(curve.Median(before.Empty())),
			milliseconds(curve.Median(last.Empty())), milliseconds(curve.Median(after.Empty())), ratio, interval)
	}
	b.WriteString("\n")
}

// windows is how many parts of equal length a table has of what was done one after the
// other.
const windows = 5

// sequences is the table of what was done one after the other.
func (r report) sequences(b *bytes.Buffer) {
	b.WriteString("| of each fifth, median ms | first | second | third | fourth | last |\n|---|---:|---:|---:|---:|---:|\n")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{
		{"network create", r.networks},
		{"start, with its share of the ports", r.starts},
		{"stop + delete, the last container first", r.removals},
		{"network delete, the last one first", r.deletions},
	} {
		if all := curve.Windows(row.times, windows); len(all) == windows {
			fmt.Fprintf(b, "| %s", row.name)
			for _, w := range all {
				fmt.Fprintf(b, " | %s", milliseconds(w.Median))
			}
			b.WriteString(" |\n")
		}
	}
	b.WriteString("\n")
}

// uses is the table of memory and processor time.
func (r report) uses(b *bytes.Buffer) {
	fmt.Fprintf(b, "| idle for %v | processes | MiB of one (PSS) | MiB of all | CPU, %% of a core |\n|---|---:|---:|---:|---:|\n", r.idle.over.Round(time.Second))
	var all kindUse
	for _, k := range r.idle.kinds {
		fmt.Fprintf(b, "| %s | %d | %.1f | %.0f | %.2f |\n", k.kind, k.count, mebibytes(k.median), mebibytes(k.total), r.idle.share(k.cpu))
		all.count, all.total, all.cpu = all.count+k.count, all.total+k.total, all.cpu+k.cpu
	}
	fmt.Fprintf(b, "| all | %d | | %.0f | %.2f |\n", all.count, mebibytes(all.total), r.idle.share(all.cpu))
}

// share is that of a core, in percent, which a processor time was.
func (i idle) share(cpu time.Duration) float64 {
	if i.over == 0 {
		return 0
	}
	return 100 * cpu.Seconds() / i.over.Seconds()
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
