// Package serve is the program of a runtime helper: a sandbox behind the contract
// patchbay.sandbox.v1, from the start of the process to its end.
package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/footprint"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/copying"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/timerslack"
	"patchbay.dev/patchbay/internal/trace"
)

// answerTimeout is how long an ended helper lets running calls take their answers.
const answerTimeout = 5 * time.Second

// serve answers calls on l until the sandbox has ended: by its main process, a
// failed Bootstrap, a Shutdown or SIGTERM. The last answers are delivered before
// it returns.
func serve(s *sandbox.Sandbox, h *harness, l net.Listener, recorder *trace.Recorder, log *slog.Logger) error {
	trimmer := footprint.NewUncollected()
	defer trimmer.Close()
	server := rpc.NewServer(rpc.ServerConfig{
		Observe: func(procedure string) (ended func(string)) {
			if procedure == sandboxv1connect.SandboxServiceHelloProcedure {
				return func(string) {} // a helper that waits keeps ready what a start needs
			}
			return trimmer.Observe(procedure)
		},
		Register: func(c *connect.Server) { sandboxv1connect.RegisterSandboxServiceHandler(c, h) },
		Trace:    recorder,
		Log:      log,
	})
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { failed <- server.Serve(l) })

	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT) // until the process ends
	for {
		select {
		case <-terminate:
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
			err := s.Shutdown(ctx)
			cancel()
			if err != nil {
				log.Error("shutdown failed", "error", err)
				return err
			}
		case err := <-failed:
			return err
		case <-s.Done():
			ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
			defer cancel()
			server.Shutdown(ctx)
			s.Wait()
			running.Wait()
			return nil
		}
	}
}

// shutdownTimeout bounds what SIGTERM leads to.
const shutdownTimeout = 20 * time.Second

// Config is what a runtime's program consists of.
type Config struct {
	Name       string // of the runtime
	Version    string
	Strategies map[string]wiring.Strategy
	// Engine makes the engine of the sandbox with an id and a directory, as soon
	// as these are known. What needs neither is best done before Main.
	Engine func(id, stateDir string) (sandbox.Engine, error)
}

// Main is the runtime helper: it serves one sandbox, as the environment says,
// on the socket that patchbayd has passed down, until the sandbox has ended.
func Main(c Config) error {
	log := slog.New(slog.NewTextHandler(rpc.HelperLog(os.Stderr), nil))
	if err := timerslack.Widen(); err != nil {
		log.Warn("timers wake this process more often than need be", "error", err)
	}
	listener, err := rpc.InheritedListener()
	if err != nil {
		return err
	}
	id, dir := os.Getenv(sandbox.IDVariable), os.Getenv(sandbox.StateDirVariable)
	if (id == "") != (dir == "") || (dir != "" && !filepath.IsAbs(dir)) {
		return fmt.Errorf("%s=%q, %s=%q: want an id and an absolute path, or neither; this program is started by patchbayd: %w",
			sandbox.IDVariable, id, sandbox.StateDirVariable, dir, errdefs.ErrFailedPrecondition)
	}
	recorder := trace.FromEnvironment("patchbay-runtime-" + c.Name)
	_, span := recorder.Join(context.Background(), "begin", trace.Program, trace.ParentFromEnvironment())
	s := sandbox.New(sandbox.Config{ID: id, StateDir: dir, Engine: c.Engine, Strategies: c.Strategies, Log: log})
	h := &harness{Service: copying.Service{Files: s.Files}, sandbox: s, config: c, release: func() {}}
	if id == "" {
		if h.release, err = endWithParent(s, log); err != nil {
			return err
		}
	}
	span.End(nil) // from here on it answers
	return serve(s, h, listener, recorder, log)
}
