// Package curve keeps how long operations took on a host that fills with containers,
// and in the same rounds on one beside it that stays empty, and what that says:
// medians, and the ratio of both.
package curve

import (
	"slices"
	"time"

	"patchbay.dev/patchbay/test/bench/result"
)

// Pair is how long an operation took in one round on either host.
type Pair struct{ Full, Empty time.Duration }

// Mean is that of two pairs, host by host.
func Mean(a, b Pair) Pair { return Pair{(a.Full + b.Full) / 2, (a.Empty + b.Empty) / 2} }

// Point is the rounds of one operation beside a number of containers.
type Point struct {
	Beside int
	Pairs  []Pair
}

// Full are the times of the host that fills, a round each.
func (p Point) Full() []time.Duration { return p.of(func(r Pair) time.Duration { return r.Full }) }

// Empty are those of the other one.
func (p Point) Empty() []time.Duration { return p.of(func(r Pair) time.Duration { return r.Empty }) }

func (p Point) of(host func(Pair) time.Duration) []time.Duration {
	out := make([]time.Duration, len(p.Pairs))
	for i, r := range p.Pairs {
		out[i] = host(r)
	}
	return out
}

// Measurement is the point as one that is judged round by round, of these two names.
func (p Point) Measurement(full, empty string) result.Measurement {
	return result.Measurement{Unit: "ms", Series: []result.Series{
		{Subject: full, Values: result.Milliseconds(p.Full())}, {Subject: empty, Values: result.Milliseconds(p.Empty())},
	}}
}

// Curve is one operation on the way up, while containers are added, and on the
// way down, while they are removed. Each way is in its own order.
type Curve struct {
	Name     string
	Up, Down []Point
}

// Levels are the points of both ways together, by the number of containers. What
// the machine's speed did between the ways is in both ends alike.
func (c Curve) Levels() []Point {
	pairs := map[int][]Pair{}
	for _, p := range slices.Concat(c.Up, c.Down) {
		pairs[p.Beside] = append(pairs[p.Beside], p.Pairs...)
	}
	out := make([]Point, 0, len(pairs))
	for beside, all := range pairs {
		out = append(out, Point{beside, all})
	}
	slices.SortFunc(out, func(a, b Point) int { return a.Beside - b.Beside })
	return out
}

// Set is the curves of several operations, in the order in which they were met.
type Set struct{ Curves []*Curve }

// Add records one round of an operation.
func (s *Set) Add(name string, beside int, down bool, took Pair) {
	c := s.find(name)
	way := &c.Up
	if down {
		way = &c.Down
	}
	if n := len(*way); n == 0 || (*way)[n-1].Beside != beside {
		*way = append(*way, Point{Beside: beside})
	}
	last := &(*way)[len(*way)-1]
	last.Pairs = append(last.Pairs, took)
}

func (s *Set) find(name string) *Curve {
	for _, c := range s.Curves {
		if c.Name == name {
			return c
		}
	}
	c := &Curve{Name: name}
	s.Curves = append(s.Curves, c)
	return c
}

// Window is a run of operations one after the other, counted from 1.
type Window struct {
	First, Last int
	Median      time.Duration
}

// Windows cuts times into at most n windows of the same length, the last one
// maybe shorter.
func Windows(times []time.Duration, n int) []Window {
	if len(times) == 0 || n < 1 {
		return nil
	}
	length := (len(times) + n - 1) / n
	var out []Window
	at := 0
	for part := range slices.Chunk(times, length) {
		out = append(out, Window{at + 1, at + len(part), Median(part)})
		at += len(part)
	}
	return out
}

// Median is that of times; of an even number the mean of both in the middle. Without
// times it is 0.
func Median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
