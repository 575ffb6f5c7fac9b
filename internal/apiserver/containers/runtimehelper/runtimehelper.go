// Package runtimehelper runs the programs of runtime plugins: the helpers, and what
// takes away what a helper leaves.
package runtimehelper

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/client/sandboxclient"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/trace"
)

// Config is what Programs need.
type Config struct {
	Roots        layout.Roots
	Launch       func(helper.Config) (*helper.Process, error)
	ReadyTimeout time.Duration // until a helper answers
	GraceTimeout time.Duration // until it has ended
	Settings     []string      // KEY=VALUE, that all of them get
	Standby      int           // helpers that wait for a sandbox; 0: none
	Log          *slog.Logger
}

// Programs runs programs for sandboxes, by their ids. It is safe for concurrent use.
type Programs struct {
	Config
	standby standby
}

// New returns programs of which none runs.
func New(c Config) *Programs {
	p := &Programs{Config: c}
	p.standby.init(p)
	return p
}

// Helper is a runtime helper.
type Helper struct {
	Process *helper.Process // nil: it does not run
	Client  *sandboxclient.Client
	Ready   bool // it has answered once
	Moved   bool // it was on standby and does not know its sandbox yet
}

// Start returns a helper that answers: one that is on standby, if there is one, or
// a new one. What there is of it is returned with an error too, to be dismissed.
func (p *Programs) Start(ctx context.Context, id string, plugin manifest.Plugin) (Helper, error) {
	if h, ok := p.standby.take(ctx, plugin, id); ok {
		return h, nil
	}
	return p.launch(ctx, plugin, p.Roots.Sandbox(id), p.environment(id), nil)
}

// launch starts a helper and waits until it answers.
func (p *Programs) launch(ctx context.Context, plugin manifest.Plugin, directory string, environment []string, lifeline *os.File) (h Helper, err error) {
	socket := filepath.Join(directory, layout.SandboxSocketName)
	_, span := trace.Start(ctx, "execute the program")
	h.Process, err = p.Launch(helper.Config{
		Directory:   directory,
		Socket:      socket,
		Binary:      plugin.Binary,
		Name:        nameOf(plugin.Name),
		Environment: append(environment, trace.Environment(ctx)...),
		Isolate:     true,
		Processors:  plugin.Processors,
		Lifeline:    lifeline,
	})
	span.End(err)
	if err != nil {
		return h, fmt.Errorf("runtime %s: %w", plugin.Name, err)
	}
	h.Client = sandboxclient.Dial(socket)
	ctx, cancel := context.WithTimeout(ctx, p.ReadyTimeout)
	defer cancel()
	if err := h.Process.Ready(ctx, h.hello); err != nil {
		return h, fmt.Errorf("runtime %s: %w", plugin.Name, err)
	}
	h.Ready = true
	return h, nil
}

func (h Helper) hello(ctx context.Context) error {
	hello, err := h.Client.Hello(ctx, &sandboxv1.HelloRequest{MinProtocol: manifest.MinProtocol, MaxProtocol: manifest.MaxProtocol})
	if err != nil {
		return err
	}
	if hello.GetMinProtocol() > manifest.MaxProtocol || hello.GetMaxProtocol() < manifest.MinProtocol {
		return fault.New(errdefs.ErrFailedPrecondition, "speaks protocol %d to %d, want %d to %d",
			hello.GetMinProtocol(), hello.GetMaxProtocol(), manifest.MinProtocol, manifest.MaxProtocol)
	}
	return nil
}

func nameOf(plugin string) string { return "patchbay-runtime-" + plugin }

// environment is what tells a runtime's programs which sandbox is theirs.
func (p *Programs) environment(id string) []string {
	return append(p.shared(), "PATCHBAY_SANDBOX_ID="+id, "PATCHBAY_STATE_DIR="+p.Roots.Sandbox(id))
}

// shared is what all of them get: where they keep what they share, and how the
// configuration wants them to work.
func (p *Programs) shared() []string {
	return append([]string{
		"PATCHBAY_CACHE_DIR=" + p.Roots.Cache(), "PATCHBAY_KERNEL_DIR=" + p.Roots.Kernel(), trace.SocketVariable + "=" + p.Roots.TraceSocket(),
	}, p.Settings...)
}

// Errand runs a runtime's program with the arguments that one of its helpers has
// asked for.
func (p *Programs) Errand(ctx context.Context, plugin manifest.Plugin, args []string) error {
	_, err := helper.Run(ctx, helper.Verb{Binary: plugin.Binary, Name: nameOf(plugin.Name), Args: args, Environment: p.shared(), Isolate: true})
	return err
}

// cleanUpTimeout bounds the removal of a container's cgroups, whose processes
// the kernel may still be ending.
const cleanUpTimeout = 30 * time.Second

// CleanUp removes what a helper that did not end by itself leaves on the host.
func (p *Programs) CleanUp(id string, h Helper) {
	if h.Process != nil && h.Process.Clean() {
		return
	}
	binary, err := helper.Binary(p.Roots.Sandbox(id))
	if err != nil {
		return // none was ever started
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	_, err = helper.Run(ctx, helper.Verb{
		Binary: binary, Name: nameOf(filepath.Base(binary)), Args: []string{"cleanup"}, Environment: p.environment(id),
	})
	if err != nil {
		p.Log.Error("cannot clean up after a runtime helper", "container", id, "error", err)
	}
}

// Dismiss ends a helper and takes away what it leaves, but for its leases.
func (p *Programs) Dismiss(ctx context.Context, id string, h Helper) {
	if h.Process != nil && (!h.Ready || !p.shutDown(ctx, h)) {
		h.Process.Kill()
	}
	p.CleanUp(id, h)
	if err := os.RemoveAll(p.Roots.Sandbox(id)); err != nil {
		p.Log.Error("cannot remove the directory of a runtime helper", "container", id, "error", err)
	}
}

// shutDown asks a helper to end and reports whether it has. One that has
// answered a bootstrap with an error ends unasked.
func (p *Programs) shutDown(ctx context.Context, h Helper) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.GraceTimeout)
	defer cancel()
	_, err := h.Client.Shutdown(ctx, &sandboxv1.ShutdownRequest{})
	if err != nil && !fault.IsConnection(err) {
		return false
	}
	select {
	case <-h.Process.Done():
		return true
	case <-ctx.Done():
		return false
	}
}
