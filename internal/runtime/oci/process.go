package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/stdio"
)

// execProcess is what "exec --process" takes.
type execProcess = specs.Process

// process is a process of the container.
type process struct {
	child    *reaper.Child
	hostPID  int
	hub      *stdio.Hub
	terminal *os.File // nil: none
	// ready is closed when the minimal init passes signals on; nil without one.
	ready <-chan struct{}
}

var _ sandbox.Process = (*process)(nil)

func (p *process) PID() int                      { return p.hostPID }
func (p *process) Signal(s syscall.Signal) error { return p.child.Signal(s) }
func (p *process) Streams() *stdio.Hub           { return p.hub }
func (p *process) Done() <-chan struct{}         { return p.child.Done() }
func (p *process) Code() int                     { return p.child.Code() }

// Resize sets the size of the terminal in characters.
func (p *process) Resize(width, height uint16) error {
	if p.terminal == nil {
		return fmt.Errorf("process %d: has no terminal: %w", p.hostPID, errdefs.ErrFailedPrecondition)
	}
	raw, err := p.terminal.SyscallConn()
	if err != nil {
		return err
	}
	var resizeErr error
	err = raw.Control(func(fd uintptr) {
		resizeErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width})
	})
	if err := errors.Join(err, resizeErr); err != nil {
		return fmt.Errorf("process %d: resize its terminal: %w", p.hostPID, err)
	}
	return nil
}

// mainProcess is the process that the container was created with.
type mainProcess struct {
	*process
	engine *Engine

	started atomic.Bool
}

var _ sandbox.MainProcess = (*mainProcess)(nil)

// Start lets the command begin.
func (m *mainProcess) Start(ctx context.Context) error {
	if err := m.engine.program.Start(ctx); err != nil {
		return err
	}
	m.started.Store(true)
	return nil
}

// initTimeout is how long a signal waits for the minimal init to be ready for it:
// before that it would end init and not reach the command.
const initTimeout = 5 * time.Second

// Signal sends a signal.
func (m *mainProcess) Signal(s syscall.Signal) error {
	if m.ready != nil && m.started.Load() && s != unix.SIGKILL && s != unix.SIGSTOP {
		timer := time.NewTimer(initTimeout)
		defer timer.Stop()
		select {
		case <-m.ready:
		case <-timer.C:
		}
	}
	return m.process.Signal(s)
}

// SignalAll sends a signal to all processes of the container.
func (m *mainProcess) SignalAll(s syscall.Signal) error {
	if s == unix.SIGKILL {
		return m.Signal(s) // the kernel does the rest
	}
	pids, err := m.engine.group.Processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := unix.Kill(pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("process %d: signal %v: %w", pid, s, err))
		}
	}
	return errors.Join(errs...)
}

// OutOfMemory reports whether the kernel killed a process for the memory limit.
func (m *mainProcess) OutOfMemory() bool { return m.engine.group.OOMKills() > 0 }
