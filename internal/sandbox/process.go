package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/stdio"
)

// maxFinishedExecs is how many ended processes are remembered for who has not
// asked yet how they ended.
const maxFinishedExecs = 64

// execs are the processes that Exec started.
type execs struct {
	mu       sync.Mutex
	next     int                     // guarded by mu
	byName   map[string]*execProcess // guarded by mu
	finished []string                // guarded by mu; names, oldest first
	watchers sync.WaitGroup
}

type execProcess struct {
	Process
	exited chan struct{} // closed when exit is set
	exit   ExitStatus
}

// close waits for the processes, which end with the main one.
func (e *execs) close() {
	e.mu.Lock()
	for _, p := range e.byName {
		p.Streams().Release()
	}
	e.mu.Unlock()
	e.watchers.Wait()
}

func (e *execs) name() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	return "exec" + strconv.Itoa(e.next)
}

func (e *execs) get(name string) (*execProcess, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.byName[name]
	if p == nil {
		return nil, fmt.Errorf("process %q: not found in this sandbox: %w", name, errdefs.ErrNotFound)
	}
	return p, nil
}

func (e *execs) add(name string, p *execProcess) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byName == nil {
		e.byName = make(map[string]*execProcess)
	}
	e.byName[name] = p
}

// retire remembers name as ended and returns one to forget, if any.
func (e *execs) retire(name string) (forget string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = append(e.finished, name)
	if len(e.finished) <= maxFinishedExecs {
		return ""
	}
	forget, e.finished = e.finished[0], e.finished[1:]
	delete(e.byName, forget)
	return forget
}

// Exec starts a further process and returns its name. Where ctx has ended
// meanwhile the process is ended.
func (s *Sandbox) Exec(ctx context.Context, c ExecConfiguration) (string, error) {
	server, err := s.enterExec()
	if err != nil {
		return "", err
	}
	name := s.execs.name()
	process, err := s.engine().Exec(ctx, name, c)
	if err != nil {
		s.execs.watchers.Done()
		return "", err
	}
	p := &execProcess{Process: process, exited: make(chan struct{})}
	server.Add(name, process.Streams())
	s.execs.add(name, p)
	s.running.Go(func() {
		defer s.execs.watchers.Done()
		s.watchExec(name, p, server)
	})
	if err := ctx.Err(); err != nil {
		// Nobody will ever know its name: it is not to go on.
		return "", errors.Join(err, process.Signal(syscall.SIGKILL))
	}
	return name, nil
}

// enterExec lets the end of the sandbox wait for one more process.
func (s *Sandbox) enterExec() (*stdio.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Running {
		return nil, fmt.Errorf("sandbox %s: is %v: want running: %w", s.id(), s.state, errdefs.ErrFailedPrecondition)
	}
	s.execs.watchers.Add(1)
	return s.stdio, nil
}

func (s *Sandbox) watchExec(name string, p *execProcess, server *stdio.Server) {
	<-p.Done()
	p.exit = ExitStatus{Code: p.Code(), ExitedAt: time.Now().UTC()}
	p.Streams().ProcessEnded()
	p.Streams().Drain()
	close(p.exited)
	p.Streams().Finish(stdio.Exit{Code: p.exit.Code})
	if forget := s.execs.retire(name); forget != "" {
		server.Remove(forget)
	}
}

// WaitProcess returns how a process ended, when it has. The empty name is the main
// process.
func (s *Sandbox) WaitProcess(ctx context.Context, name string) (ExitStatus, error) {
	exited, exit := (<-chan struct{})(s.exited), &s.exit
	if name != "" {
		p, err := s.execs.get(name)
		if err != nil {
			return ExitStatus{}, err
		}
		exited, exit = p.exited, &p.exit
	}
	select {
	case <-exited:
		return *exit, nil
	case <-ctx.Done():
		return ExitStatus{}, ctx.Err()
	}
}

// process returns a process by its name.
func (s *Sandbox) process(name string) (Process, error) {
	if name != "" {
		return s.execs.get(name)
	}
	return s.mainProcess()
}

func (s *Sandbox) mainProcess() (MainProcess, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.main == nil {
		return nil, fmt.Errorf("sandbox %s: has no process: %w", s.id(), errdefs.ErrFailedPrecondition)
	}
	return s.main, nil
}

// Signal sends a signal to a process, or to all of the sandbox's.
func (s *Sandbox) Signal(name string, signal syscall.Signal, all bool) error {
	if signal <= 0 || signal > 64 {
		return fmt.Errorf("signal %d: want 1 to 64: %w", signal, errdefs.ErrInvalidArgument)
	}
	if all {
		main, err := s.mainProcess()
		if err != nil {
			return err
		}
		return main.SignalAll(signal)
	}
	p, err := s.process(name)
	if err != nil {
		return err
	}
	return p.Signal(signal)
}

// Resize sets the size of a process's terminal, in characters.
func (s *Sandbox) Resize(name string, width, height uint16) error {
	p, err := s.process(name)
	if err != nil {
		return err
	}
	return p.Resize(width, height)
}
