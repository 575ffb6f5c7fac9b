package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

// The environment of a runtime helper. One that is started on standby, before
// there is a sandbox for it, has neither of the first two.
const (
	IDVariable       = "PATCHBAY_SANDBOX_ID"
	StateDirVariable = "PATCHBAY_STATE_DIR"
	// CacheDirVariable names a directory for what can be made anew, which all
	// helpers of an instance share. It need not exist, nor be given.
	CacheDirVariable = "PATCHBAY_CACHE_DIR"
)

// answerTimeout is how long an ended helper lets running calls take their answers.
const answerTimeout = 5 * time.Second

// Serve answers calls on l until the sandbox has ended: by its main process, a
// failed Bootstrap, a Shutdown or SIGTERM. The last answers are delivered before
// it returns.
func Serve(s *Sandbox, h *Harness, l net.Listener, log *slog.Logger) error {
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(c *connect.Server) { sandboxv1connect.RegisterSandboxServiceHandler(c, h) },
		Log:      log,
	})
	failed := make(chan error, 1)
	s.running.Go(func() { failed <- server.Serve(l) })

	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(terminate)
	for {
		select {
		case <-terminate:
			ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
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
			return nil
		}
	}
}

// MainConfig is what a runtime's program consists of.
type MainConfig struct {
	Name       string // of the runtime
	Version    string
	Strategies map[string]InterfaceStrategy
	// Engine makes the engine of the sandbox with an id and a directory, as soon
	// as these are known. What needs neither is best done before Main.
	Engine func(id, stateDir string) (Engine, error)
}

// Main is the runtime helper: it serves one sandbox, as the environment says,
// on the socket that patchbayd has passed down, until the sandbox has ended.
func Main(c MainConfig) error {
	log := slog.New(slog.NewTextHandler(rpc.HelperLog(os.Stderr), nil))
	listener, err := rpc.InheritedListener()
	if err != nil {
		return err
	}
	id, dir := os.Getenv(IDVariable), os.Getenv(StateDirVariable)
	if (id == "") != (dir == "") || (dir != "" && !filepath.IsAbs(dir)) {
		return fmt.Errorf("%s=%q, %s=%q: want an id and an absolute path, or neither; this program is started by patchbayd: %w",
			IDVariable, id, StateDirVariable, dir, errdefs.ErrFailedPrecondition)
	}
	s := New(Config{ID: id, StateDir: dir, Engine: c.Engine, Strategies: c.Strategies, Log: log})
	s.running.Go(learnMessages)
	return Serve(s, NewHarness(s, c.Name, c.Version), listener, log)
}
