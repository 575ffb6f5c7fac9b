// Package metrics tells Prometheus what patchbayd knows.
//
// Nothing is counted twice: what the services know is read from them when
// somebody asks, within askTimeout, and what does not answer until then is left
// out and counted as such. Only calls of the API, which nobody else remembers,
// are counted as they happen.
package metrics

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/resource"
)

const (
	// askTimeout bounds how long plugins and helpers are waited for: well below the
	// 10 s after which Prometheus gives up on all series.
	askTimeout = 2 * time.Second
	// maxScrapes is how many may be answered at a time.
	maxScrapes = 4
)

// Containers is what the container service tells.
type Containers interface {
	// Known returns all containers, without asking their helpers.
	Known() []resource.Container
	// Stats returns what those that run have used, without names of all of them. A
	// helper that does not answer is a fault of its own.
	Stats(ctx context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error)
}

// Networks is what the network service tells.
type Networks interface {
	// Observe returns all networks, as their plugins say now.
	Observe(context.Context) []networks.Observation
}

// Images is what the image service tells.
type Images interface {
	List(context.Context) ([]resource.Image, error)
}

// Config is what Metrics need. All fields are required.
type Config struct {
	Containers        Containers
	Networks          Networks
	Images            Images
	DefaultRuntime    string // shows also while no container has it
	Version, Revision string
	Log               *slog.Logger
}

// Metrics are the series of one patchbayd. They are safe for concurrent use.
type Metrics struct {
	config   Config
	registry *prometheus.Registry
	calls    *calls
	end      context.CancelFunc // asks nobody any more
}

// New returns the metrics of the services.
func New(c Config) *Metrics {
	life, end := context.WithCancel(context.Background())
	m := &Metrics{config: c, registry: prometheus.NewRegistry(), calls: newCalls(), end: end}
	m.registry.MustRegister(
		&survey{config: c, life: life}, m.calls.running, m.calls.duration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers with all series, in the form that the client asks for.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            m.errorLog(),
		ErrorHandling:       promhttp.ContinueOnError, // what is there is better than nothing
		MaxRequestsInFlight: maxScrapes,
	}))
	return mux
}

// Call notes the beginning of a call of the API; it is told the code of the
// result when the call has ended.
func (m *Metrics) Call(procedure string) (ended func(code string)) { return m.calls.begin(procedure) }

func (m *Metrics) errorLog() *log.Logger {
	return slog.NewLogLogger(m.config.Log.Handler(), slog.LevelWarn)
}
