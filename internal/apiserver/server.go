// Package apiserver joins the services of patchbayd and serves them.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"github.com/coreos/go-systemd/v22/daemon"

	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/apiserver/containers"
	"patchbay.dev/patchbay/internal/apiserver/events"
	"patchbay.dev/patchbay/internal/apiserver/images"
	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/internal/apiserver/plugins"
	harness "patchbay.dev/patchbay/internal/apiserver/rpc"
	"patchbay.dev/patchbay/internal/apiserver/system"
	"patchbay.dev/patchbay/internal/apiserver/traces"
	"patchbay.dev/patchbay/internal/config"
	"patchbay.dev/patchbay/internal/footprint"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/store"
	"patchbay.dev/patchbay/internal/timerslack"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource/event"
)

// callGrace is how long running calls may go on after the server was told to
// end.
const callGrace = 5 * time.Second

// Config is what a server needs. All fields are required.
type Config struct {
	Roots    layout.Roots
	Settings config.Config
	Log      *slog.Logger
}

// server is the services of one instance.
type server struct {
	config     Config
	store      *store.Store
	events     *events.Service
	plugins    *plugins.Service
	images     *images.Service
	networks   *networks.Service
	containers *containers.Service
	system     *system.Service
	traces     *traces.Service
	metrics    *meter // nil: nobody wants them
}

// Run serves an instance until ctx ends or a client shuts it down. It tells the
// service manager when it is ready (sd_notify(3)). Containers and networks
// outlive it, unless a client shut it down.
func Run(ctx context.Context, c Config) error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("patchbayd: runs as user %d, want root: %w", uid, errdefs.ErrPermissionDenied)
	}
	if err := timerslack.Widen(); err != nil {
		c.Log.Warn("timers wake this process more often than need be", "error", err)
	}
	if err := makeDirectories(c.Roots); err != nil {
		return err
	}
	lock, err := lock(c.Roots)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer removeEmpty(c.Roots)
	ctx, exit := context.WithCancel(ctx)
	defer exit()

	s, err := open(c, exit)
	if err != nil {
		return err
	}
	defer s.close()
	if c.Settings.Metrics != nil {
		if s.metrics, err = openMetrics(s, *c.Settings.Metrics); err != nil {
			return err
		}
	}
	if err := s.start(); err != nil {
		return err
	}
	listener, err := listen(c.Roots.APISocket(), len(c.Settings.AllowedUIDs) > 0)
	if err != nil {
		return err
	}
	return s.serve(ctx, listener)
}

// open makes the services from what is stored; nothing runs yet.
func open(c Config, exit func()) (_ *server, err error) {
	s := &server{config: c, traces: traces.New(c.Roots.TraceSocket()), plugins: plugins.New(plugins.Config{Directories: manifest.Directories(c.Settings.PluginDirectories)})}
	if s.store, err = store.Open(c.Roots.Database()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.Close())
		}
	}()
	if s.events, err = openEvents(s); err != nil {
		return nil, err
	}
	users := &imageUsers{}
	if s.images, err = openImages(s, users); err != nil {
		return nil, err
	}
	if s.networks, err = openNetworks(s); err != nil {
		return nil, err
	}
	environment, err := runtimeEnvironment(c.Settings)
	if err != nil {
		return nil, err
	}
	if s.containers, err = openContainers(s, environment); err != nil {
		return nil, err
	}
	users.containers = s.containers
	s.plugins.Show(s.networks, s.containers)
	s.plugins.Serve(s.networks)
	s.system = system.New(system.Config{
		Roots:          c.Roots,
		Plugins:        s.plugins,
		Containers:     s.containers,
		Networks:       s.networks,
		Images:         s.images,
		Exit:           exit,
		Events:         s.events,
		DefaultRuntime: c.Settings.DefaultRuntime,
		DefaultNetwork: c.Settings.DefaultNetwork,

		RuntimeEnvironment: environment,
		Log:                c.Log,
	})
	return s, nil
}

// start takes over what runs. Networks come first: containers that ended
// meanwhile give up their leases.
func (s *server) start() error {
	s.events.Publish(event.Event{Type: event.System, Action: event.ActionStart, Name: "patchbayd"})
	if err := s.networks.Start(s.containers); err != nil {
		return err
	}
	s.system.TryKernel()
	return s.containers.Resume()
}

// close ends the services in the reverse order. What runs goes on.
func (s *server) close() {
	s.metrics.close()
	s.system.Close()
	s.containers.Close()
	s.networks.Close()
	s.events.Close()
	if err := s.store.Close(); err != nil {
		s.config.Log.Error("store is not closed well", "error", err)
	}
}

func (s *server) register(r *connect.Server) {
	apiserverv1connect.RegisterSystemServiceHandler(r, harness.NewSystem(s.system, s.traces))
	apiserverv1connect.RegisterPluginServiceHandler(r, harness.NewPlugins(s.plugins))
	apiserverv1connect.RegisterNetworkServiceHandler(r, harness.NewNetworks(s.networks))
	apiserverv1connect.RegisterContainerServiceHandler(r, harness.NewContainers(s.containers))
	apiserverv1connect.RegisterImageServiceHandler(r, harness.NewImages(s.images))
	apiserverv1connect.RegisterRegistryServiceHandler(r, harness.NewRegistries(s.images))
}

// both observes calls for two; the second may be nil.
func both(one, other func(string) func(string)) func(string) func(string) {
	if other == nil {
		return one
	}
	return func(procedure string) func(string) {
		ended, endedToo := one(procedure), other(procedure)
		return func(code string) {
			ended(code)
			endedToo(code)
		}
	}
}

// serve answers calls until ctx ends, then lets running ones finish.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	trimmer := footprint.New(footprint.OfOne)
	defer trimmer.Close()
	calls := rpc.NewServer(rpc.ServerConfig{
		Register: s.register, AllowedUIDs: s.config.Settings.AllowedUIDs, Observe: both(trimmer.Observe, s.metrics.observer()),
		Trace: trace.NewRecorder("patchbayd", s.traces), Log: s.config.Log,
	})
	s.metrics.serve()
	failed := make(chan error, 1)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- calls.Serve(listener) })

	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		s.config.Log.Warn("service manager is not told that patchbayd is ready", "error", err)
	}
	s.config.Log.Info("ready", "socket", s.config.Roots.APISocket(), "root", s.config.Roots.Root)
	select {
	case err := <-failed:
		return fmt.Errorf("patchbayd: serve %s: %w", s.config.Roots.APISocket(), err)
	case <-ctx.Done():
	}
	s.config.Log.Info("ending")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callGrace)
	defer cancel()
	s.events.Publish(event.Event{Type: event.System, Action: event.ActionStop, Name: "patchbayd"})
	s.containers.Drain() // else who waits for a container holds this up
	s.events.Drain()
	s.traces.Drain()
	calls.Shutdown(end)
	serving.Wait()
	return nil
}
