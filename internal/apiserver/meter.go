package apiserver

import (
	"fmt"
	"net"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/metrics"
	"patchbay.dev/patchbay/internal/config"
	"patchbay.dev/patchbay/internal/version"
)

// meter is the metrics of a server and where they are served. That of a server
// without metrics is nil, and costs nothing.
type meter struct {
	metrics  *metrics.Metrics
	listener net.Listener
	uids     []int
	server   *metrics.Server // nil: they are not served yet
}

// openMetrics takes the endpoint, so that one that cannot be had is told before
// anything runs.
func openMetrics(s *server, e config.Endpoint) (*meter, error) {
	if e.Address == s.config.Roots.APISocket() {
		return nil, fmt.Errorf("%s: %q: is the socket of the API, want another path: %w", e.Setting, e.Address, errdefs.ErrInvalidArgument)
	}
	uids := s.config.Settings.AllowedUIDs
	listener, err := metrics.Listen(e, len(uids) > 0)
	if err != nil {
		return nil, err
	}
	return &meter{
		listener: listener, uids: uids,
		metrics: metrics.New(metrics.Config{
			Containers:     s.containers,
			Networks:       s.networks,
			Images:         s.images,
			DefaultRuntime: s.config.Settings.DefaultRuntime,
			Version:        version.Version(),
			Revision:       version.Revision(),
			Log:            s.config.Log,
		}),
	}, nil
}

// observer is told of the calls of the API.
func (m *meter) observer() func(string) func(string) {
	if m == nil {
		return nil
	}
	return m.metrics.Call
}

// serve answers from now on: the services have begun.
func (m *meter) serve() {
	if m != nil {
		m.server = metrics.Serve(m.listener, m.metrics, m.uids)
	}
}

func (m *meter) close() {
	switch {
	case m == nil:
	case m.server == nil:
		m.listener.Close()
	default:
		m.server.Close()
	}
}
