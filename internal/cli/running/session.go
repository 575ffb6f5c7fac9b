package running

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/stdio"
)

// impatience is how many times one has to press Ctrl-C to leave a container
// that ignores it.
const impatience = 3

var (
	errDetached  = errors.New("detached")
	errImpatient = errors.New("interrupted")
)

// session connects the caller's streams to a process of a container.
type session struct {
	frame     *frame.Frame
	api       sessionClient
	container string // name or id
	process   string // empty: the main process
	terminal  bool   // the process has one
	stdin     bool   // pass standard input on
}

type sessionClient interface {
	KillExec(context.Context, *apiserverv1.ContainerServiceKillExecRequest) (*apiserverv1.ContainerServiceKillExecResponse, error)
	Kill(context.Context, *apiserverv1.ContainerServiceKillRequest) (*apiserverv1.ContainerServiceKillResponse, error)
	Resize(context.Context, *apiserverv1.ContainerServiceResizeRequest) (*apiserverv1.ContainerServiceResizeResponse, error)
}

// attach returns how the process ended. errDetached means that the user left
// and the process goes on. Signals are passed on to it.
func (s *session) attach(ctx context.Context, socket string) (stdio.Exit, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	streams := stdio.Streams{Stdout: s.frame.Stdout, Stderr: s.frame.Stderr}
	if s.stdin {
		streams.Stdin = s.frame.Stdin
	}
	if s.terminal && s.stdin && terminal.Is(s.frame.Stdin) {
		restore, err := terminal.MakeRaw(s.frame.Stdin)
		if err != nil {
			return stdio.Exit{}, err
		}
		defer restore()
		streams.Stdin = terminal.NewDetachReader(s.frame.Stdin, func() { cancel(errDetached) })
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	watch, end := context.WithCancel(ctx)
	defer end()
	if s.terminal && terminal.Is(s.frame.Stdin) {
		beside.Go(func() { terminal.WatchSize(watch, s.frame.Stdin, func(size terminal.Size) { s.resize(watch, size) }) })
	}
	s.frame.Signals.Catch()
	beside.Go(func() { s.forward(watch, cancel) })
	exit, err := stdio.Attach(ctx, socket, s.process, streams)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return exit, err
}

// resize fails when the process has ended, or not begun: nobody needs to know.
func (s *session) resize(ctx context.Context, size terminal.Size) {
	_, _ = s.api.Resize(ctx, &apiserverv1.ContainerServiceResizeRequest{
		Name: s.container, ProcessId: s.process, Width: uint32(size.Width), Height: uint32(size.Height),
	})
}

// kill sends the process a signal.
func (s *session) kill(ctx context.Context, signal string) (err error) {
	if s.process == "" {
		_, err = s.api.Kill(ctx, &apiserverv1.ContainerServiceKillRequest{Name: s.container, Signal: signal})
	} else {
		_, err = s.api.KillExec(ctx, &apiserverv1.ContainerServiceKillExecRequest{Name: s.container, ProcessId: s.process, Signal: signal})
	}
	return err
}

// end sends the process a last signal, though ctx may have ended. That it has ended
// already is no error.
func (s *session) end(ctx context.Context, signal string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := s.kill(ctx, signal)
	if err == nil || errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err) {
		return nil
	}
	return fmt.Errorf("%s: not passed on: %w", signal, err)
}

func (s *session) forward(ctx context.Context, leave context.CancelCauseFunc) {
	interrupts := 0
	s.frame.Signals.Forward(ctx, func(name string) {
		if name == "SIGINT" {
			interrupts++
		}
		if interrupts >= impatience {
			leave(errImpatient)
			return
		}
		err := s.kill(ctx, name)
		if err != nil && ctx.Err() == nil && !errdefs.IsNotFound(err) && !errdefs.IsFailedPrecondition(err) {
			frame.Report(s.frame.Stderr, fmt.Errorf("%s: not passed on: %w", name, err))
		}
	})
}

type waiter interface {
	Wait(context.Context, *apiserverv1.ContainerServiceWaitRequest) (*apiserverv1.ContainerServiceWaitResponse, error)
}

// outcome turns the end of a session with a main process into the command's. It
// waits until patchbayd knows the end too, or has deleted the container, so that
// the next command finds what this one's user expects.
func (s *session) outcome(ctx context.Context, api waiter, exit stdio.Exit, attachErr error, deleted bool) error {
	switch {
	case errors.Is(attachErr, errDetached):
		return nil
	case errors.Is(attachErr, errImpatient):
		return &frame.ExitError{Code: frame.ExitInterrupted}
	case attachErr != nil && !errdefs.IsUnavailable(attachErr) && !errdefs.IsNotFound(attachErr):
		return attachErr
	}
	condition := apiserverv1.WaitCondition_WAIT_CONDITION_STOPPED
	if deleted {
		condition = apiserverv1.WaitCondition_WAIT_CONDITION_DELETED
	}
	answer, err := api.Wait(ctx, &apiserverv1.ContainerServiceWaitRequest{Name: s.container, Condition: condition})
	switch {
	case err == nil:
		exit = stdio.Exit{Code: int(answer.GetExitCode()), Message: answer.GetMessage()}
	case attachErr != nil:
		return errors.Join(attachErr, err)
	case !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err):
		return err // the end is known otherwise; patchbayd may be gone, or the container deleted
	}
	return ended(exit)
}

// ended makes the command exit as the process did.
func ended(exit stdio.Exit) error {
	if exit.Code == 0 && exit.Message == "" {
		return nil
	}
	var message error
	if exit.Message != "" {
		message = errors.New(exit.Message)
	}
	return &frame.ExitError{Code: exit.Code, Err: message}
}
