package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/document"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/plot"
	"patchbay.dev/patchbay/test/bench/result"
)

// marker is the name of the report's place in a page.
const marker = "bench-scale"

// report is what a climb has measured.
type report struct {
	settings
	begun     time.Time
	took      time.Duration
	load      string
	curves    []*curve.Curve
	networks  []time.Duration
	starts    []time.Duration
	removals  []time.Duration
	deletions []time.Duration
	idle      idle
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

// part is what the targets are judged by: the operations beside the most containers and
// beside none, on both hosts.
func (r report) part() result.Part {
	p := result.Part{Name: "scale", Begun: r.begun, Took: r.took, Load: r.load}
	for id, operation := range map[string]string{
		"scale-start": opStart, "scale-publish": opPublish, "scale-connect": opConnect, "scale-resolve": opResolve,
		"scale-list": opList, "scale-list-line": opListLine, "scale-inspect": opInspect, "scale-inspect-line": opLine,
		"scale-network": opNetwork, "scale-network-list": opNetworkListLine, "scale-network-inspect": opNetworkLine,
	} {
		if last, first, ok := r.ends(operation); ok {
			m := last.Measurement(goal.Patchbay, goal.Empty)
			m.ID, m.What = id, r.named(id)
			m.Series = append(m.Series, first.Measurement(goal.First, goal.EmptyFirst).Series...)
			p.Measurements = append(p.Measurements, m)
		}
	}
	slices.SortFunc(p.Measurements, func(a, b result.Measurement) int { return strings.Compare(a.ID, b.ID) })
	return p
}

// ends are an operation beside the most containers and beside none; not ok where it was not
// measured beside both.
func (r report) ends(operation string) (last, first curve.Point, ok bool) {
	for _, c := range r.curves {
		if levels := c.Levels(); c.Name == operation && len(levels) > 1 {
			return levels[len(levels)-1], levels[0], true
		}
	}
	return curve.Point{}, curve.Point{}, false
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
	return fmt.Sprintf("Milliseconds beside 0 to %d containers (medians)", r.containers)
}

func (r report) panels() []plot.Panel {
	var out []plot.Panel
	for _, c := range r.curves {
		out = append(out, plot.Panel{Title: strings.ReplaceAll(c.Name, "`", ""), Lines: []plot.Line{
			{Name: "on the way up", Points: points(c.Up, curve.Point.Full)},
			{Name: "on the way down", Points: points(c.Down, curve.Point.Full)},
			{Name: "on the empty host, in the same rounds", Points: points(c.Levels(), curve.Point.Empty)},
		}})
	}
	return out
}

func points(way []curve.Point, host func(curve.Point) []time.Duration) []plot.Point {
	out := make([]plot.Point, len(way))
	for i, p := range way {
		out[i] = plot.Point{X: float64(p.Beside), Y: curve.Median(host(p)).Seconds() * 1000}
	}
	return out
}
