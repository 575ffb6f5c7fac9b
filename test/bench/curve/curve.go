// Package curve keeps how long operations took beside a growing number of
// containers, and what that says: medians, and the last against the first.
package curve

import (
	"slices"
	"time"
)

// Point is the times of one operation beside a number of containers.
type Point struct {
	Beside int
	Times  []time.Duration
}

// Median is that of the times; of an even number the mean of both in the middle.
// Without times it is 0.
func (p Point) Median() time.Duration { return Median(p.Times) }

// Curve is one operation on the way up, while containers are added, and on the
// way down, while they are removed. Each way is in its own order.
type Curve struct {
	Name     string
	Up, Down []Point
}

// Levels are the points of both ways together, by the number of containers. What
// the machine's speed did between the ways is in both ends alike.
func (c Curve) Levels() []Point {
	times := map[int][]time.Duration{}
	for _, p := range slices.Concat(c.Up, c.Down) {
		times[p.Beside] = append(times[p.Beside], p.Times...)
	}
	out := make([]Point, 0, len(times))
	for beside, all := range times {
		out = append(out, Point{beside, all})
	}
	slices.SortFunc(out, func(a, b Point) int { return a.Beside - b.Beside })
	return out
}

// Growth is the median beside the most containers over that beside the fewest;
// 0 where there is nothing to compare.
func (c Curve) Growth() float64 {
	levels := c.Levels()
	if len(levels) < 2 || levels[0].Median() == 0 {
		return 0
	}
	return float64(levels[len(levels)-1].Median()) / float64(levels[0].Median())
}

// Set is the curves of several operations, in the order in which they were met.
type Set struct{ Curves []*Curve }

// Add records one time of an operation.
func (s *Set) Add(name string, beside int, down bool, took time.Duration) {
	c := s.find(name)
	way := &c.Up
	if down {
		way = &c.Down
	}
	if n := len(*way); n == 0 || (*way)[n-1].Beside != beside {
		*way = append(*way, Point{Beside: beside})
	}
	last := &(*way)[len(*way)-1]
	last.Times = append(last.Times, took)
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

// Median is that of times; see Point.Median.
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
