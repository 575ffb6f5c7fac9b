package containers

import (
	"cmp"
	"context"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Exec starts a further process in a running container.
func (s *Service) Exec(ctx context.Context, name string, x resource.Exec) (resource.ExecSession, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.ExecSession{}, err
	}
	if err := x.Validate(); err != nil {
		return resource.ExecSession{}, err
	}
	r, err := s.needRun(e)
	if err != nil {
		return resource.ExecSession{}, err
	}
	own := e.config().Process
	process := x.Process
	process.Env = blueprint.MergeEnv(own.Env, x.Process.Env)
	process.WorkingDirectory = cmp.Or(x.Process.WorkingDirectory, own.WorkingDirectory)
	if process.User == "" {
		process.User, process.AdditionalGroups = own.User, own.AdditionalGroups
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	answer, err := r.client.Exec(ctx, &sandboxv1.ExecRequest{Process: wire.ProcessToProto(process), Privileged: x.Privileged, Detach: x.Detach})
	if err != nil {
		return resource.ExecSession{}, s.explain(e, r, err)
	}
	return resource.ExecSession{ProcessID: answer.GetProcessId(), StdioSocket: answer.GetStdioSocket()}, nil
}

// WaitExec returns the exit code of a process that Exec started.
func (s *Service) WaitExec(ctx context.Context, name, processID string) (int, error) {
	e, err := s.find(name)
	if err != nil {
		return 0, err
	}
	if processID == "" {
		return 0, e.errorf(errdefs.ErrInvalidArgument, "process id is empty, want that of an exec")
	}
	r, err := s.needRun(e)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.waiting(ctx)
	defer cancel()
	answer, err := r.client.Wait(ctx, &sandboxv1.WaitRequest{ProcessId: processID})
	if err != nil {
		return 0, s.goingDown(s.explain(e, r, err))
	}
	return int(answer.GetExit().GetCode()), nil
}

// Resize sets the size of the terminal of a process; an empty id is the main
// process.
func (s *Service) Resize(ctx context.Context, name, processID string, size resource.TerminalSize) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	const most = 1<<16 - 1 // struct winsize, ioctl_tty(2)
	if size.Width < 0 || size.Width > most || size.Height < 0 || size.Height > most {
		return e.errorf(errdefs.ErrInvalidArgument, "terminal size %dx%d: want 0 to %d each", size.Width, size.Height, most)
	}
	r, err := s.needRun(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.GraceTimeout)
	defer cancel()
	_, err = r.client.Resize(ctx, &sandboxv1.ResizeRequest{ProcessId: processID, Width: uint32(size.Width), Height: uint32(size.Height)})
	if err != nil {
		return s.explain(e, r, err)
	}
	return nil
}
