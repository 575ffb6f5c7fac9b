package networkplugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/footprint"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/timerslack"
	"patchbay.dev/patchbay/internal/trace"
)

// The environment of a plugin process, beside rpc.ListenFDVariable.
const (
	// NetworkIDVariable holds the id of the network to serve.
	NetworkIDVariable = "PATCHBAY_NETWORK_ID"
	// StateDirVariable holds the directory for what must outlive the process but
	// not a reboot.
	StateDirVariable = "PATCHBAY_STATE_DIR"
)

// Plugin is a program that serves one network.
type Plugin struct {
	// Name is the name of the plugin's manifest.
	Name string
	// Version is shown to users; empty: that of the module the program is built
	// from.
	Version string
	// New returns the network for a configuration and touches nothing yet. It
	// refuses what it does not know: variant, options.
	New func(Configuration) (Network, error)
	// Implements is a value of the type that New returns, a nil pointer will
	// do: the optional interfaces that it has are the plugin's capabilities
	// before there is a network. Nil: none.
	Implements any
	// Leases replaces the times of leases.
	Leases LeaseTimes
}

// LeaseTimes are how long a lease stays in a state that must pass.
type LeaseTimes struct {
	// Pending is how long an allocation waits for its sandbox; 0: 30 s.
	Pending time.Duration
	// Orphaned is how long sandboxes may take to hold their leases again after
	// the plugin was restarted; 0: 3 s. Together with the time that freeing
	// takes it must stay below the 5 s for which an address may be without a
	// live sandbox.
	Orphaned time.Duration
	// Retry is the first pause before a port that could not be taken off the
	// network is tried again, doubled each time up to 30 times of it; 0: 250 ms.
	Retry time.Duration
}

// Main serves a network until the process is told to end by SIGTERM or SIGINT,
// which leaves the network as it is. It does not return.
func Main(p Plugin) {
	log := slog.New(slog.NewTextHandler(rpc.HelperLog(os.Stderr), nil))
	if err := run(p, log); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1) //nolint:forbidigo // this is the main of every plugin
	}
	os.Exit(0) //nolint:forbidigo // as above
}

func run(p Plugin, log *slog.Logger) error {
	directory, id := os.Getenv(StateDirVariable), os.Getenv(NetworkIDVariable)
	var faults []error
	if !filepath.IsAbs(directory) {
		faults = append(faults, fmt.Errorf("%s=%q: want an absolute path: %w", StateDirVariable, directory, errdefs.ErrFailedPrecondition))
	}
	if id == "" {
		faults = append(faults, fmt.Errorf("%s: want the id of a network: %w", NetworkIDVariable, errdefs.ErrFailedPrecondition))
	}
	listener, err := rpc.InheritedListener()
	if err := errors.Join(append(faults, err)...); err != nil {
		return err
	}

	if err := timerslack.Widen(); err != nil {
		log.Warn("timers wake this process more often than need be", "error", err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	service, err := newService(ctx, serviceConfig{Plugin: p, NetworkID: id, Directory: directory, Log: log})
	if err != nil {
		return err
	}
	trimmer := footprint.New(footprint.OfMany)
	defer trimmer.Close()
	server := rpc.NewServer(rpc.ServerConfig{
		Observe: trimmer.Observe,
		Register: func(s *connect.Server) {
			pluginv1connect.RegisterNetworkPluginServiceHandler(s, &harness{service: service})
		},
		Trace: trace.FromEnvironment(filepath.Base(os.Args[0])),
		Log:   log,
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err := <-served:
		return errors.Join(err, service.close())
	}
	err = service.close() // ends the streams, which are no lost ones now
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server.Shutdown(end)
	return errors.Join(err, <-served)
}

func (p Plugin) version() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
