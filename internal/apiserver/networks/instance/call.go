package instance

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// call calls a process with the deadline of a start; it ends early when the
// process dies, with the process's own words.
func (i *Instance) call(ctx context.Context, p *helper.Process, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, i.config.Timeout)
	defer cancel()
	if err := p.Ready(ctx, f); err != nil {
		return i.Blame(err)
	}
	return nil
}

// Hello waits until a process answers and checks that both speak one protocol.
func (i *Instance) Hello(ctx context.Context, p *helper.Process) error {
	return i.call(ctx, p, func(ctx context.Context) error {
		answer, err := i.Client.Hello(ctx, &pluginv1.HelloRequest{MinProtocol: manifest.MinProtocol, MaxProtocol: manifest.MaxProtocol})
		if err != nil {
			return err
		}
		if answer.GetMinProtocol() > manifest.MaxProtocol || answer.GetMaxProtocol() < manifest.MinProtocol {
			return fmt.Errorf("speaks protocol %d to %d, want %d to %d: %w", answer.GetMinProtocol(), answer.GetMaxProtocol(),
				manifest.MinProtocol, manifest.MaxProtocol, errdefs.ErrFailedPrecondition)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.version = answer.GetVersion()
		return nil
	})
}

// Start has a process make the network, or adopt what there is of it, and returns what it made.
func (i *Instance) Start(ctx context.Context, p *helper.Process, request *pluginv1.StartRequest) (status resource.NetworkStatus, err error) {
	err = i.call(ctx, p, func(ctx context.Context) error {
		answer, err := i.Client.Start(ctx, request)
		if ctx.Err() != nil {
			i.mu.Lock()
			i.interrupted = p
			i.mu.Unlock()
		}
		if err != nil {
			return err
		}
		status, err = pluginwire.StatusFromProto(answer.GetStatus())
		return Garbage(err)
	})
	return status, err
}

// Stop has a process take its network off the host.
func (i *Instance) Stop(ctx context.Context, p *helper.Process) error {
	return i.call(ctx, p, func(ctx context.Context) error {
		_, err := i.Client.Stop(ctx, &pluginv1.StopRequest{Delete: true, Force: true})
		return err
	})
}

// Dismantle takes the network off the host and ends its plugin. Where the
// process is dead or does not answer, a fresh one is given the chance to do it.
// An error means that something may be left. The end of ctx leaves everything as
// it is then, for the next patchbayd.
func (i *Instance) Dismantle(ctx context.Context) error {
	process := i.Process()
	if _, err := os.Stat(i.directory()); process == nil && errors.Is(err, os.ErrNotExist) {
		return nil // no plugin has run for it since the last boot
	}
	err := i.remove(ctx, process)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	i.Discard()
	return err
}

func (i *Instance) remove(ctx context.Context, process *helper.Process) error {
	i.mu.Lock()
	interrupted := process != nil && i.interrupted == process
	i.mu.Unlock()
	if interrupted {
		process.Kill() // else its start could go on after its stop
	}
	if process != nil && Alive(process) {
		err := i.Stop(ctx, process)
		if err == nil || ctx.Err() != nil {
			return err
		}
		i.config.Log.Warn("plugin does not stop, a fresh process takes over", "error", err)
		process.Kill()
	}
	process, err := i.Launch()
	if err != nil {
		return i.Blame(err)
	}
	if err := i.Hello(ctx, process); err != nil {
		return err
	}
	return i.Stop(ctx, process)
}
