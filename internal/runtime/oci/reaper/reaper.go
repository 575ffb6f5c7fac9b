// Package reaper waits for the children of process 1 of a PID namespace: those
// that it started, those it adopted, and all others that become its children
// when their parents die, so that none stays a zombie.
//
// It calls wait4(2) for any child, so nothing else in the process may wait for
// its children: os/exec and os.StartProcess must not be used beside it.
package reaper

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/timerslack"
)

// Reaper waits for all children of this process.
type Reaper struct {
	signals chan os.Signal
	stop    chan struct{}
	stopped sync.WaitGroup

	mu        sync.Mutex
	children  map[int]*Child          // guarded by mu; running ones
	expecting int                     // guarded by mu; open calls of Expect
	unclaimed map[int]unix.WaitStatus // guarded by mu; ended before they were adopted
}

// Start begins to wait for all children.
func Start() *Reaper {
	r := &Reaper{
		signals:   make(chan os.Signal, 1),
		stop:      make(chan struct{}),
		children:  make(map[int]*Child),
		unclaimed: make(map[int]unix.WaitStatus),
	}
	signal.Notify(r.signals, unix.SIGCHLD)
	r.stopped.Go(r.run)
	return r
}

// Close stops waiting. Children go on.
func (r *Reaper) Close() {
	signal.Stop(r.signals)
	close(r.stop)
	r.stopped.Wait()
}

func (r *Reaper) run() {
	for {
		select {
		case <-r.signals:
			r.reap()
		case <-r.stop:
			return
		}
	}
}

// reap collects all that have ended: one SIGCHLD may stand for many.
func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || pid <= 0:
			return
		}
		if c := r.children[pid]; c != nil {
			delete(r.children, pid)
			c.status = status
			close(c.done)
		} else if r.expecting > 0 {
			r.unclaimed[pid] = status
		}
	}
}

// Expect keeps the exit status of unknown children until release, so that one
// that ends before it is adopted is not lost.
func (r *Reaper) Expect() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expecting++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.expecting--; r.expecting == 0 {
			clear(r.unclaimed)
		}
	})
}

// Adopt returns the child with a number. It is called between Expect and its
// release, for a process whose parent has ended, so that it has become a child of this
// one. One that somebody else has waited for, of which nobody will tell any more, is
// errdefs.ErrNotFound.
func (r *Reaper) Adopt(pid int) (*Child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Child{PID: pid, reaper: r, done: make(chan struct{})}
	if status, ended := r.unclaimed[pid]; ended {
		delete(r.unclaimed, pid)
		c.status = status
		close(c.done)
		return c, nil
	}
	if err := unix.Kill(pid, 0); err != nil { // nobody else takes it away while mu is held
		return nil, fmt.Errorf("process %d: its end was told to another: %w", pid, errdefs.ErrNotFound)
	}
	r.children[pid] = c
	return c, nil
}

// Command is a program to run.
type Command struct {
	Path  string   // of the program; empty: the first of Args
	Args  []string // the first is what the program is called
	Env   []string
	Files []*os.File // 0, 1, 2, ...
}

// Run runs a program to its end, and kills it when ctx ends before.
func (r *Reaper) Run(ctx context.Context, c Command) (unix.WaitStatus, error) {
	child, err := r.Begin(c)
	if err != nil {
		return 0, err
	}
	return child.Wait(ctx)
}

// Begin starts a program. It holds mu from fork to registration: the child may end
// at once.
func (r *Reaper) Begin(c Command) (*Child, error) {
	files := make([]uintptr, len(c.Files))
	for i, f := range c.Files {
		files[i] = f.Fd()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var pid int
	err := timerslack.Usual(func() (err error) {
		pid, err = syscall.ForkExec(cmp.Or(c.Path, c.Args[0]), c.Args, &syscall.ProcAttr{Env: c.Env, Files: files})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	child := &Child{PID: pid, reaper: r, done: make(chan struct{})}
	r.children[pid] = child
	return child, nil
}

// Child is a child process, running or ended.
type Child struct {
	PID    int
	reaper *Reaper
	done   chan struct{}
	status unix.WaitStatus // written before done is closed
}

// Done is closed when the child has ended and has been waited for.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait returns how the child ended, and kills it when ctx ends before.
func (c *Child) Wait(ctx context.Context) (unix.WaitStatus, error) {
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = c.Signal(unix.SIGKILL)
		<-c.done
		return 0, ctx.Err()
	}
	return c.status, nil
}

// Status is how it ended; valid after Done.
func (c *Child) Status() unix.WaitStatus { return c.status }

// Code is the status as shells have it: the exit code, or 128 + n for signal n.
func (c *Child) Code() int { return Code(c.status) }

// Code is a status as shells have it: the exit code, or 128 + n for signal n.
func Code(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// Signal sends a signal; errdefs.ErrNotFound when the child has ended. Its number
// cannot belong to another process: it is not given out again before the
// child has been waited for, which needs the same lock.
func (c *Child) Signal(s syscall.Signal) error {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	select {
	case <-c.done:
		return fmt.Errorf("process %d: has ended: %w", c.PID, errdefs.ErrNotFound)
	default:
	}
	if err := unix.Kill(c.PID, s); err != nil {
		return fmt.Errorf("process %d: signal %v: %w", c.PID, s, err)
	}
	return nil
}
