// Package result is what a benchmark has measured: the values of each round, kept in
// files, from which all figures are computed.
package result

import (
	"math"
	"slices"
	"time"
)

// Part is one part of a run, such as the starts of containers.
type Part struct {
	Name         string        `json:"name"`
	Begun        time.Time     `json:"begun"`
	Took         time.Duration `json:"took"`
	Load         string        `json:"load"`     // load average of a minute, when it began
	Versions     []string      `json:"versions"` // of what took part
	Measurements []Measurement `json:"measurements"`
	Notes        []string      `json:"notes,omitempty"` // what a reader has to know beside the figures
}

// Measurement is one thing that several subjects did in turns.
type Measurement struct {
	ID     string `json:"id"`
	What   string `json:"what"`
	Unit   string `json:"unit"`   // of all values
	Higher bool   `json:"higher"` // the higher a value, the better
	// Unpaired says that the values of a round do not belong together, or are
	// differences.
	Unpaired bool     `json:"unpaired,omitempty"`
	Series   []Series `json:"series"`
}

// Series is what one subject did.
type Series struct {
	Subject string    `json:"subject"`
	Values  []float64 `json:"values"`          // a round each
	Fault   string    `json:"fault,omitempty"` // why there are not as many as of the others
}

// Of is the series of a subject; without one it is empty.
func (m Measurement) Of(subject string) Series {
	for _, s := range m.Series {
		if s.Subject == subject {
			return s
		}
	}
	return Series{Subject: subject}
}

// Worst is the value that all but a twentieth of the rounds keep: the 95th of a
// hundred, or the fifth where the higher a value, the better.
func (m Measurement) Worst(s Series) float64 {
	if m.Higher {
		return Quantile(s.Values, 0.05)
	}
	return Quantile(s.Values, 0.95)
}

// Ratio is that of two series: the median of the ratios, round by round, or the
// ratio of the medians where that says nothing. Without values it is 0.
func (m Measurement) Ratio(s, base Series) float64 {
	if !m.Unpaired {
		return Ratio(s.Values, base.Values)
	}
	if middle := Median(base.Values); middle != 0 {
		return Median(s.Values) / middle
	}
	return 0
}

// Versions are those of all parts, each once.
func Versions(parts []Part) []string {
	var out []string
	for _, p := range parts {
		for _, v := range p.Versions {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// Find looks for a measurement in all parts.
func Find(parts []Part, id string) (Measurement, Part, bool) {
	for _, p := range parts {
		for _, m := range p.Measurements {
			if m.ID == id {
				return m, p, true
			}
		}
	}
	return Measurement{}, Part{}, false
}

// Milliseconds are the values of times.
func Milliseconds(times []time.Duration) []float64 {
	out := make([]float64, len(times))
	for i, t := range times {
		out[i] = t.Seconds() * 1000
	}
	return out
}

// Quantile is the value that a part of the values, from 0 to 1, does not exceed; 0
// where there are none.
func Quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// Median is that of the values; of an even number the mean of both in the middle.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Mean is the geometric mean of two series of what is the same, round by round, as far as both go.
func Mean(s, again Series) Series {
	mean := Series{Subject: s.Subject, Fault: s.Fault}
	for i := range min(len(s.Values), len(again.Values)) {
		mean.Values = append(mean.Values, math.Sqrt(s.Values[i]*again.Values[i]))
	}
	return mean
}

// Ratio is the median of the ratios of two series, round by round, as far as both
// go; 0 where there are none.
func Ratio(values, base []float64) float64 {
	var ratios []float64
	for i := range min(len(values), len(base)) {
		if base[i] != 0 {
			ratios = append(ratios, values[i]/base[i])
		}
	}
	return Median(ratios)
}
