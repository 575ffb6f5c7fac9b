package result

import "math/rand/v2"

// Interval is where a figure may lie for all that its rounds tell.
type Interval struct{ Low, High float64 }

// Open says whether the interval has values on both sides of a bound, so that
// another run as good may be on the other side of it.
func (i Interval) Open(bound float64) bool { return i.Low < bound && bound < i.High }

// enough rounds have an interval; fewer cannot be drawn from in many ways.
const enough = 5

// Interval is where the median of a series, or with a base its [Measurement.Ratio] to
// it, comes to in 95 of 100 runs whose rounds are drawn from those that were measured, a round as
// often as chance has it: the percentile bootstrap of Efron, "Bootstrap methods: another look at the jackknife" (1979).
// Rounds that belong together are drawn together. The draws are the same each time. With fewer than five rounds there is none.
func (m Measurement) Interval(s Series, base *Series) (Interval, bool) {
	ours, theirs := len(s.Values), len(s.Values)
	if base != nil {
		theirs = len(base.Values)
	}
	together := base != nil && !m.Unpaired
	if together {
		ours = min(ours, theirs)
	}
	if min(ours, theirs) < enough {
		return Interval{}, false
	}
	const draws = 2000
	chance := rand.New(rand.NewPCG(0, 0))
	figures := make([]float64, draws)
	for i := range figures {
		rounds := draw(chance, ours)
		switch {
		case together:
			figures[i] = m.Ratio(s.at(rounds), base.at(rounds))
		case base != nil:
			figures[i] = m.Ratio(s.at(rounds), base.at(draw(chance, theirs)))
		default:
			figures[i] = Median(s.at(rounds).Values)
		}
	}
	return Interval{Low: Quantile(figures, 0.025), High: Quantile(figures, 0.975)}, true
}

// draw is as many of so many rounds, each as often as chance has it.
func draw(chance *rand.Rand, rounds int) []int {
	out := make([]int, rounds)
	for i := range out {
		out[i] = chance.IntN(rounds)
	}
	return out
}

// at is the series that has these rounds.
func (s Series) at(rounds []int) Series {
	out := Series{Subject: s.Subject, Values: make([]float64, len(rounds))}
	for i, r := range rounds {
		out.Values[i] = s.Values[r]
	}
	return out
}
