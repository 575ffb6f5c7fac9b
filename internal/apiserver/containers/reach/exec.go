package reach

import (
	"cmp"
	"context"
	"syscall"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Exec starts a further process in a running container.
func (c Calls) Exec(ctx context.Context, name string, x resource.Exec) (resource.ExecSession, error) {
	r, err := c.Containers.FindRunning(name)
	if err != nil {
		return resource.ExecSession{}, err
	}
	if err := x.Validate(); err != nil {
		return resource.ExecSession{}, err
	}
	own := r.Process
	process := x.Process
	process.Env = blueprint.MergeEnv(own.Env, x.Process.Env)
	process.WorkingDirectory = cmp.Or(x.Process.WorkingDirectory, own.WorkingDirectory)
	if process.User == "" {
		process.User, process.AdditionalGroups = own.User, own.AdditionalGroups
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := r.Helper.Client.Exec(ctx, &sandboxv1.ExecRequest{Process: wire.ProcessToProto(process), Privileged: x.Privileged, Detach: x.Detach})
	if err != nil {
		return resource.ExecSession{}, r.Explain(err)
	}
	return resource.ExecSession{ProcessID: answer.GetProcessId(), StdioSocket: answer.GetStdioSocket()}, nil
}

// WaitExec returns the exit code of a process that Exec started.
func (c Calls) WaitExec(ctx context.Context, name, processID string) (int, error) {
	r, err := c.Containers.FindRunning(name)
	if err != nil {
		return 0, err
	}
	if err := r.checkExec(processID); err != nil {
		return 0, err
	}
	ctx, cancel := c.Containers.Waiting(ctx)
	defer cancel()
	answer, err := r.Helper.Client.Wait(ctx, &sandboxv1.WaitRequest{ProcessId: processID})
	if err != nil {
		return 0, c.Containers.GoingDown(r.Explain(err))
	}
	return int(answer.GetExit().GetCode()), nil
}

// KillExec sends a signal, by name or number, to a process that Exec started; an
// empty one is SIGKILL. A process that has ended may be errdefs.ErrNotFound.
func (c Calls) KillExec(ctx context.Context, name, processID, signal string) error {
	r, err := c.Containers.FindRunning(name)
	if err != nil {
		return err
	}
	if err := r.checkExec(processID); err != nil {
		return err
	}
	number := syscall.SIGKILL
	if signal != "" {
		if number, err = blueprint.ParseSignal(signal); err != nil {
			return r.errorf(errdefs.ErrInvalidArgument, "%w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.GraceTimeout)
	defer cancel()
	_, err = r.Helper.Client.Signal(ctx, &sandboxv1.SignalRequest{ProcessId: processID, Signal: int32(number)})
	return r.Explain(err)
}

// checkExec refuses what is not the id of an exec.
func (r Running) checkExec(processID string) error {
	if processID == "" {
		return r.errorf(errdefs.ErrInvalidArgument, "process id is empty, want that of an exec")
	}
	return nil
}

// Resize sets the size of the terminal of a process; an empty id is the main
// process.
func (c Calls) Resize(ctx context.Context, name, processID string, size resource.TerminalSize) error {
	r, err := c.Containers.FindRunning(name)
	if err != nil {
		return err
	}
	const most = 1<<16 - 1 // struct winsize, ioctl_tty(2)
	if size.Width < 0 || size.Width > most || size.Height < 0 || size.Height > most {
		return r.errorf(errdefs.ErrInvalidArgument, "terminal size %dx%d: want 0 to %d each", size.Width, size.Height, most)
	}
	ctx, cancel := context.WithTimeout(ctx, c.GraceTimeout)
	defer cancel()
	_, err = r.Helper.Client.Resize(ctx, &sandboxv1.ResizeRequest{ProcessId: processID, Width: uint32(size.Width), Height: uint32(size.Height)})
	if err != nil {
		return r.Explain(err)
	}
	return nil
}
