package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/sandbox/hold"
	"patchbay.dev/patchbay/internal/sandbox/names"
	"patchbay.dev/patchbay/internal/sandbox/ports"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// State is the state of a sandbox.
type State int

// The states of a sandbox, in their order.
const (
	Empty   State = iota // before Bootstrap
	Created              // the main process waits for Start
	Running
	Stopped // the helper is about to exit
)

// stdioSocketName is the name of the stdio socket in the state directory.
const stdioSocketName = "stdio.sock"

// cleanupTimeout bounds what is done after a failure or the end.
const cleanupTimeout = 20 * time.Second

// Config is what a Sandbox needs.
type Config struct {
	// ID is the sandbox's, StateDir the helper's own directory below the run root.
	// Both are empty in a helper on standby, which Bootstrap tells them.
	ID       string
	StateDir string
	// Engine makes the engine. It is called once, by Bootstrap.
	Engine     func(id, stateDir string) (Engine, error)
	Strategies map[string]wiring.Strategy
	Log        *slog.Logger
}

// identity is what a sandbox is from its Bootstrap on.
type identity struct {
	id       string
	stateDir string
	engine   Engine // nil before Bootstrap
}

// Sandbox is the one sandbox of a runtime helper.
type Sandbox struct {
	config  Config
	self    atomic.Pointer[identity] // never nil
	leases  *hold.Leases
	names   names.Resolver
	ports   ports.Ports
	running sync.WaitGroup
	life    context.Context // ended by Shutdown and the main process: cuts a Bootstrap or Connect short
	end     context.CancelFunc
	ready   chan struct{} // closed when Bootstrap has created all, or never will
	exited  chan struct{} // closed when exit is set
	done    chan struct{} // closed when the helper has nothing left to do
	finish  func()        // closes done, once

	changing chan struct{} // holds a token while interfaces are changed, and from the end on

	mu        sync.Mutex
	begun     bool          // guarded by mu; Prepare, Bootstrap or Open has been called
	prepared  *preparation  // guarded by mu; what Prepare has begun, until somebody takes it
	opened    bool          // guarded by mu; Open has succeeded
	state     State         // guarded by mu
	main      MainProcess   // guarded by mu; nil before Created
	stdio     *stdio.Server // guarded by mu; nil before Created
	design    design        // guarded by mu; as it is made
	startedAt time.Time     // guarded by mu
	command   *trace.Span   // guarded by mu; the life of the main process; nil: not traced
	exit      ExitStatus    // written once, before exited is closed
	changed   chan struct{} // guarded by mu; closed and replaced when the status is another

	execs execs
	// Cause is the call that began the sandbox, or is to end it.
	Cause trace.Cause
}

// New returns an empty sandbox.
func New(c Config) *Sandbox {
	s := &Sandbox{
		config:   c,
		leases:   hold.New(hold.RPC, c.Log),
		names:    names.Resolver{Log: c.Log},
		ports:    ports.Ports{Log: c.Log},
		ready:    make(chan struct{}),
		exited:   make(chan struct{}),
		done:     make(chan struct{}),
		changing: make(chan struct{}, 1),
		changed:  make(chan struct{}),
	}
	s.self.Store(&identity{id: c.ID, stateDir: c.StateDir})
	s.leases.Again, s.leases.Changed = s.ports.Again, s.bump
	s.finish = sync.OnceFunc(func() { close(s.done) })
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Done is closed when the sandbox has ended and the helper should exit.
func (s *Sandbox) Done() <-chan struct{} { return s.done }

// Wait returns when all goroutines of an ended sandbox have.
func (s *Sandbox) Wait() { s.running.Wait() }

// StdioSocket is the path of the socket for the standard streams.
func (s *Sandbox) StdioSocket() string { return filepath.Join(s.self.Load().stateDir, stdioSocketName) }

func (s *Sandbox) id() string { return s.self.Load().id }

// engine is set from Bootstrap on.
func (s *Sandbox) engine() Engine { return s.self.Load().engine }

// inside is the engine if it is an Insider, else nil.
func (s *Sandbox) inside() names.Insider {
	inside, _ := s.engine().(names.Insider)
	return inside
}

// BootstrapConfig is all that a sandbox ever needs.
type BootstrapConfig struct {
	Configuration
	// Configuration.DNS is what the user asked for; engines get what it comes to.
	StateDir  string                         // of a helper that was on standby; else empty
	Allocated []resource.AllocatedAttachment // in the order of the interfaces
	Hosts     []resource.ExtraHost
	Ports     []resource.PublishedPort
	LogPath   string // file for the output of the main process; empty: none
	LogLimits resource.LogLimits
	Start     bool // start the main process too
}

// Bootstrapped is what Bootstrap made.
type Bootstrapped struct {
	PID         int // of the main process, as the host sees it
	Attachments []resource.Attachment
	StartedAt   time.Time // zero if it was not to start
	Warnings    []string
	Errand      []string // see Errander
}

// Bootstrap plans all interfaces, holds the leases, makes the isolation and the
// interfaces, and creates the main process; it starts it only when told to. All or
// nothing: on an error everything is undone and the sandbox has ended. It works
// once. After Prepare only c.Allocated and c.Start count.
func (s *Sandbox) Bootstrap(ctx context.Context, c BootstrapConfig) (Bootstrapped, error) {
	p, err := s.takeOrPrepare(ctx, c)
	if err != nil {
		return Bootstrapped{}, err
	}
	made, err := s.create(ctx, p, c.Allocated)
	if err != nil || !c.Start {
		return made, err
	}
	made.StartedAt, err = s.Start(ctx)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		return Bootstrapped{}, errors.Join(err, s.Shutdown(ctx))
	}
	return made, nil
}

// create is a Bootstrap up to the main process.
func (s *Sandbox) create(ctx context.Context, p *preparation, allocated []resource.AllocatedAttachment) (Bootstrapped, error) {
	defer close(s.ready)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	main, err := s.bootstrap(ctx, p, allocated)
	if err != nil {
		s.finish()
		return Bootstrapped{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made := Bootstrapped{PID: main.PID(), Attachments: s.design.Attachments}
	if w, ok := s.engine().(Warner); ok {
		made.Warnings = w.Warnings()
	}
	if e, ok := s.engine().(Errander); ok {
		made.Errand = e.Errand()
	}
	return made, nil
}

func (s *Sandbox) bootstrap(ctx context.Context, p *preparation, allocated []resource.AllocatedAttachment) (main MainProcess, err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { return s.undo(ctx, p) })
	d, err := s.draw(p.design, allocated)
	if err != nil {
		return nil, err
	}
	if err := names.CheckHosts(d.hosts, d.allocated); err != nil {
		return nil, err
	}
	if err := s.ports.Take(p.config.Ports); err != nil {
		return nil, err
	}
	undo.Add(func() error { s.closePorts(ctx); return nil })
	server, err := s.serveStdio()
	if err != nil {
		return nil, err
	}
	undo.Add(func() error { server.Close(); return os.Remove(s.StdioSocket()) })
	main, err = s.make(ctx, p, &d, &undo)
	if err != nil {
		return nil, err
	}
	server.Add("", main.Streams())
	s.mu.Lock()
	s.state, s.main, s.stdio, s.design = Created, main, server, d
	s.bumpLocked()
	s.mu.Unlock()
	undo.Success()
	s.running.Go(func() { s.watch(main, server, p.log) })
	return main, nil
}

func (s *Sandbox) serveStdio() (*stdio.Server, error) {
	l, err := net.Listen("unix", s.StdioSocket())
	if err != nil {
		return nil, fmt.Errorf("stdio socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(s.StdioSocket(), 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("stdio socket: %w", err)
	}
	return stdio.Serve(l, s.config.Log), nil
}

// watch waits for the end of the main process and takes everything down. The
// order: what it wrote, how it ended, then what others may use again; and only
// then does anybody hear of it. What nobody else could want goes last.
func (s *Sandbox) watch(main MainProcess, server *stdio.Server, log *containerlog.Writer) {
	<-main.Done()
	s.mu.Lock()
	command := s.command
	s.mu.Unlock()
	command.End(nil)
	tracing, span := trace.Start(s.Cause.Context(), "take the sandbox down")
	defer span.End(nil)
	_, keeping := trace.Start(tracing, "keep what it wrote and how it ended")
	exit := ExitStatus{Code: main.Code(), ExitedAt: time.Now().UTC(), OutOfMemory: main.OutOfMemory()}
	if explained, ok := main.(Explained); ok {
		exit.Message = explained.Reason()
	}
	if exit.OutOfMemory {
		exit.Message = "a process was killed because the memory limit was reached"
	}
	main.Streams().ProcessEnded()
	main.Streams().Drain()
	if err := log.Close(); err != nil {
		s.config.Log.Error("close the container log", "error", err)
	}
	if err := writeExit(s.self.Load().stateDir, exit); err != nil {
		s.config.Log.Error("exit status not kept", "error", err)
	}
	// Callers ask patchbayd for the rest of the end, which is told when it has come: they
	// have that asked by then, and do not take the processor from the last steps.
	main.Streams().Finish(stdio.Exit{Code: exit.Code, Message: exit.Message})
	keeping.End(nil)
	ctx, cancel := context.WithTimeout(tracing, cleanupTimeout)
	defer cancel()
	s.endChanges(ctx)
	s.names.Close()
	s.closePorts(ctx)
	if err := trace.Do(ctx, "let the network go", s.engine().Free); err != nil {
		s.config.Log.Error("take the sandbox down", "error", err)
	}
	_, releasing := trace.Start(ctx, "let the leases go")
	s.leases.Release()
	releasing.End(nil)

	s.mu.Lock()
	s.state, s.exit = Stopped, exit
	s.bumpLocked()
	s.mu.Unlock()
	s.execs.close()
	close(s.exited)
	runtime.Gosched() // a helper has one processor as a rule: who tells of the end goes first
	if err := trace.Do(ctx, "remove what the engine made", s.engine().Destroy); err != nil {
		s.config.Log.Error("take the sandbox down", "error", err)
	}
	server.Close()
	s.finish()
}

// Start starts the main process and returns when.
func (s *Sandbox) Start(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created {
		return time.Time{}, fmt.Errorf("sandbox %s: cannot be started, it is %v: want created: %w", s.id(), s.state, errdefs.ErrFailedPrecondition)
	}
	main := s.main
	s.state, s.startedAt = Running, time.Now().UTC()
	_, s.command = trace.StartLife(ctx, "the command runs")
	s.Cause.Note(ctx)
	s.mu.Unlock()
	err := main.Start(ctx)
	s.mu.Lock()
	defer s.bumpLocked()
	if err != nil {
		if s.state == Running {
			s.state = Created
		}
		return time.Time{}, err
	}
	return s.startedAt, nil
}

// Shutdown kills all processes, gives the leases up and ends the sandbox. It
// returns when that is done, or with ctx's error.
func (s *Sandbox) Shutdown(ctx context.Context) error {
	s.Cause.Note(ctx)
	s.end()
	s.mu.Lock()
	begun := s.begun
	s.begun = true // no Bootstrap from here on
	s.mu.Unlock()
	if !begun {
		close(s.ready)
		s.finish()
		return nil
	}
	if p := s.take(); p != nil {
		defer s.finish()
		defer close(s.ready)
		return s.undo(ctx, p)
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	main, opened := s.main, s.opened
	s.opened = false
	s.mu.Unlock()
	if main == nil { // Bootstrap failed and has undone everything, or there are only files
		defer s.finish()
		if opened {
			return s.close(ctx)
		}
		return nil
	}
	main.Streams().Release()
	if err := main.SignalAll(syscall.SIGKILL); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// String returns the state's name.
func (s State) String() string {
	return [...]string{"empty", "created", "running", "stopped"}[s]
}
