package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// calls are the calls of the API since patchbayd began.
type calls struct {
	running  *prometheus.GaugeVec
	duration *prometheus.HistogramVec
}

func newCalls() *calls {
	return &calls{
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: callsRunning.name, Help: callsRunning.help}, callsRunning.labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: callDuration.name, Help: callDuration.help,
			// From a look at a table in memory to a pull.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, callDuration.labels),
	}
}

// apiPackage is what the names of all procedures begin with.
const apiPackage = "/patchbay.apiserver.v1."

// begin counts a call. Procedures and codes are closed sets: the server knows
// its procedures, and refuses others before it comes here.
func (c *calls) begin(procedure string) (ended func(code string)) {
	procedure = strings.TrimPrefix(procedure, apiPackage)
	running, began := c.running.WithLabelValues(procedure), time.Now()
	running.Inc()
	return func(code string) {
		running.Dec()
		c.duration.WithLabelValues(procedure, code).Observe(time.Since(began).Seconds())
	}
}
