package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/document"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/machine"
	"patchbay.dev/patchbay/test/bench/plot"
	"patchbay.dev/patchbay/test/bench/result"
)

// marker is the name of the report's place in a page.
const marker = "bench-scale"

// report is what a climb has measured.
type report struct {
	settings
	begun    time.Time
	took     time.Duration
	load     string
	curves   []*curve.Curve
	networks []time.Duration
	starts   []time.Duration
	removals []time.Duration
	idle     idle
}

// publish writes the tables to w and, where the settings say so, into a page, and
// the curves into a picture.
func (r report) publish(w io.Writer) error {
	tables := r.tables()
	if _, err := io.WriteString(w, tables); err != nil {
		return err
	}
	if r.picture != "" {
		if err := atomicfile.Write(r.picture, plot.SVG(r.title(), r.panels()), 0o644); err != nil {
			return err
		}
	}
	if r.results != "" {
		if err := result.Save(r.results, r.part()); err != nil {
			return err
		}
	}
	if r.document != "" {
		return document.Put(r.document, marker, tables)
	}
	return nil
}

// part is what the targets are judged by: the operations beside the most containers,
// and beside none.
func (r report) part() result.Part {
	p := result.Part{Name: "scale", Begun: r.begun, Took: r.took, Load: r.load}
	add := func(id string, last, first []time.Duration, more ...result.Series) {
		p.Measurements = append(p.Measurements, result.Measurement{ID: id, What: r.named(id), Unit: "ms", Unpaired: true, Series: append([]result.Series{
			{Subject: goal.Patchbay, Values: result.Milliseconds(last)}, {Subject: goal.First, Values: result.Milliseconds(first)},
		}, more...)})
	}
	var reference []result.Series
	if last, first := r.ends(opReference); len(first) > 0 {
		reference = []result.Series{{Subject: goal.Machine, Values: result.Milliseconds(last)}, {Subject: goal.MachineFirst, Values: result.Milliseconds(first)}}
	}
	for id, operation := range map[string]string{
		"scale-start": opStart, "scale-publish": opPublish, "scale-connect": opConnect, "scale-resolve": opResolve,
		"scale-list": opList, "scale-list-line": opListLine, "scale-inspect": opInspect, "scale-inspect-line": opLine,
		"scale-network-list": opNetworkListLine, "scale-network-inspect": opNetworkLine,
	} {
		if last, first := r.ends(operation); len(first) > 0 {
			add(id, last, first, reference...)
		}
	}
	if part := len(r.networks) / windows; part > 0 {
		add("scale-network", r.networks[len(r.networks)-part:], r.networks[:part])
	}
	slices.SortFunc(p.Measurements, func(a, b result.Measurement) int { return strings.Compare(a.ID, b.ID) })
	return p
}

// ends are the times of an operation beside the most containers and beside none; none
// where it was not measured beside both.
func (r report) ends(operation string) (last, first []time.Duration) {
	for _, c := range r.curves {
		if levels := c.Levels(); c.Name == operation && len(levels) > 1 {
			return levels[len(levels)-1].Times, levels[0].Times
		}
	}
	return nil, nil
}

// named is the name of a measurement, with this run's numbers of containers, networks and
// ports.
func (r report) named(id string) string {
	networks := fmt.Sprint(r.settings.networks)
	return strings.NewReplacer(
		"10000", fmt.Sprint(r.ports), "1000 networks", networks+" networks", "1000 others", networks+" others", "1000", fmt.Sprint(r.containers),
	).Replace(goal.Name(id))
}

func (r report) title() string {
	return fmt.Sprintf("Milliseconds beside 0 to %d containers (median of %d)", r.containers, r.rounds)
}

func (r report) tables() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d processors, Linux %s, %s, load %s; %d containers on %d networks each, of %d, %d published TCP ports; %v in all.\n\n",
		runtime.NumCPU(), machine.Release(), r.begun.UTC().Format(time.DateOnly), r.load,
		r.containers, r.networksEach, r.settings.networks, r.ports, r.took.Round(time.Second))
	r.levels(&b)
	r.sequences(&b)
	r.uses(&b)
	return b.String()
}

// levels is the table of the operations beside each number of containers.
func (r report) levels(b *bytes.Buffer) {
	b.WriteString("| median ms beside")
	for _, n := range r.steps() {
		fmt.Fprintf(b, " | %d", n)
	}
	b.WriteString(" | last / first |\n|---" + strings.Repeat("|---:", len(r.steps())+1) + "|\n")
	for _, c := range r.curves {
		fmt.Fprintf(b, "| %s", c.Name)
		for _, p := range c.Levels() {
			fmt.Fprintf(b, " | %s", milliseconds(p.Median()))
		}
		fmt.Fprintf(b, " | %.2f |\n", c.Growth())
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
	for _, k := range r.idle.kinds {
		fmt.Fprintf(b, "| %s | %d | %.1f | %.0f | %.2f |\n", k.kind, k.count, mebibytes(k.median), mebibytes(k.total), 100*k.cpu.Seconds()/r.idle.over.Seconds())
	}
}

func (r report) panels() []plot.Panel {
	var out []plot.Panel
	for _, c := range r.curves {
		out = append(out, plot.Panel{Title: strings.ReplaceAll(c.Name, "`", ""), Lines: []plot.Line{
			{Name: "on the way up", Points: points(c.Up)},
			{Name: "on the way down", Points: points(c.Down)},
		}})
	}
	return out
}

func points(way []curve.Point) []plot.Point {
	out := make([]plot.Point, len(way))
	for i, p := range way {
		out[i] = plot.Point{X: float64(p.Beside), Y: p.Median().Seconds() * 1000}
	}
	return out
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
