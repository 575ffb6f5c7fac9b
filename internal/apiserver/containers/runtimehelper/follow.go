package runtimehelper

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
)

// Follow hands on what the helper of a sandbox says of it, now and with each change,
// and nil when the helper is no longer heard. It returns true when the helper is gone,
// false when ctx has ended before. One that stays after its main process has ended
// is killed.
func (p *Programs) Follow(ctx context.Context, id string, h Helper, told func(*sandboxv1.StateResponse)) bool {
	for {
		err := h.follow(ctx, told)
		told(nil)
		if Within(ctx, p.GraceTimeout, h.Process.Done()) {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if err == nil || disk.ReadExit(p.Roots.Sandbox(id)) != nil {
			p.Log.Warn("a runtime helper stays after its container has ended, and is killed", "container", id)
			h.Process.Kill()
			return true
		}
		// The stream was cut, yet the helper lives: open another one.
	}
}

// errCut says that a stream ended before the sandbox did.
var errCut = errors.New("the stream of states was cut")

// follow returns nil when the helper has said that its main process has ended.
func (h Helper) follow(ctx context.Context, told func(*sandboxv1.StateResponse)) error {
	err := h.watch(ctx, told)
	if errors.Is(err, errdefs.ErrNotImplemented) { // by one of an earlier version, which has to be asked
		_, err = h.Client.Wait(ctx, &sandboxv1.WaitRequest{})
	}
	return err
}

func (h Helper) watch(ctx context.Context, told func(*sandboxv1.StateResponse)) error {
	stream, err := h.Client.Watch(ctx, &sandboxv1.WatchRequest{})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // it is of no more use
	for {
		message, err := stream.Receive()
		if err != nil {
			return errors.Join(errCut, err)
		}
		state := message.GetState()
		told(state)
		if state.GetState() == sandboxv1.SandboxState_SANDBOX_STATE_STOPPED {
			return nil
		}
	}
}
