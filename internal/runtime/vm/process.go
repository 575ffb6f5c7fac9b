package vm

import (
	"context"
	"io"
	"net"
	"syscall"
	"time"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/internal/wire"
)

// answerTimeout bounds a call that the agent answers at once.
const answerTimeout = 10 * time.Second

// lostCode is the exit code of a process whose machine ended before it: that of
// one that was killed.
const lostCode = 137

// process is a process in the guest.
type process struct {
	engine *Engine
	id     string
	pid    int
	hub    *stdio.Hub

	done        chan struct{} // closed when the rest is set
	code        int
	outOfMemory bool
	reason      string // why the machine is gone, if it is and somebody knows
}

var _ sandbox.Process = (*process)(nil)

// processStreams says which standard streams a process has.
type processStreams struct {
	terminal, stdin, none bool
	stdout, stderr        io.Writer
	await                 bool
}

// newProcess adopts a process that the agent has started.
func (e *Engine) newProcess(ctx context.Context, id string, pid int, s processStreams) (*process, error) {
	p := &process{engine: e, id: id, pid: pid, done: make(chan struct{})}
	config := stdio.HubConfig{Stdout: s.stdout, Stderr: s.stderr, Terminal: s.terminal}
	if s.await {
		config.AwaitAttach = stdio.DefaultAwaitAttach
	}
	var out, errors net.Conn
	if !s.none {
		var err error
		if out, err = e.streams.Take(ctx, id, guestv1.StreamKind_STREAM_KIND_STDOUT); err != nil {
			return nil, err
		}
		if s.terminal {
			config.Stdin = out
		} else if errors, err = e.streams.Take(ctx, id, guestv1.StreamKind_STREAM_KIND_STDERR); err != nil {
			return nil, err
		}
		if s.stdin && !s.terminal {
			if config.Stdin, err = e.streams.Take(ctx, id, guestv1.StreamKind_STREAM_KIND_STDIN); err != nil {
				return nil, err
			}
		}
	}
	p.hub = stdio.NewHub(config)
	if out != nil {
		p.hub.Copy(false, channel.Stream{Conn: out})
	}
	if errors != nil {
		p.hub.Copy(true, channel.Stream{Conn: errors})
	}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	defer close(p.done)
	answer, err := p.engine.guest.Wait(context.Background(), &guestv1.WaitRequest{ProcessId: p.id})
	if err != nil { // the machine is gone
		p.code, p.outOfMemory, p.reason = lostCode, p.engine.group.OOMKills() > 0, p.engine.loss(err)
		return
	}
	p.code, p.outOfMemory = int(answer.GetCode()), answer.GetOutOfMemory()
}

func (p *process) PID() int              { return p.pid }
func (p *process) Streams() *stdio.Hub   { return p.hub }
func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Code() int             { return p.code }

// Signal sends a signal.
func (p *process) Signal(s syscall.Signal) error { return p.signal(s, false) }

func (p *process) signal(s syscall.Signal, all bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	_, err := p.engine.guest.Signal(ctx, &guestv1.SignalRequest{ProcessId: p.id, Signal: int32(s), All: all})
	return err
}

// Resize sets the size of the terminal in characters.
func (p *process) Resize(width, height uint16) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	_, err := p.engine.guest.Resize(ctx, &guestv1.ResizeRequest{ProcessId: p.id, Width: uint32(width), Height: uint32(height)})
	return err
}

// mainProcess is the process that the container was created with.
type mainProcess struct{ *process }

var (
	_ sandbox.MainProcess = (*mainProcess)(nil)
	_ sandbox.Explained   = (*mainProcess)(nil)
)

// Start lets the command begin.
func (m *mainProcess) Start(ctx context.Context) error {
	_, err := m.engine.guest.Start(ctx, &guestv1.StartRequest{})
	if err != nil {
		return m.engine.explain(err)
	}
	return nil
}

// SignalAll sends a signal to all processes of the container. SIGKILL ends the
// machine itself, whatever the guest is at.
func (m *mainProcess) SignalAll(s syscall.Signal) error {
	if s == syscall.SIGKILL {
		m.engine.machine.Kill()
		return nil
	}
	return m.signal(s, true)
}

// OutOfMemory reports whether the guest's kernel killed a process for want of memory.
func (m *mainProcess) OutOfMemory() bool { return m.outOfMemory }

// Reason is why the machine is gone, if it is and nobody wanted that.
func (m *mainProcess) Reason() string { return m.reason }

// Exec starts a further process of the container.
func (e *Engine) Exec(ctx context.Context, name string, c sandbox.ExecConfiguration) (sandbox.Process, error) {
	p := c.Process
	if p.User == "" {
		p.User = e.sandbox.Process.User
		if len(p.AdditionalGroups) == 0 {
			p.AdditionalGroups = e.sandbox.Process.AdditionalGroups
		}
	}
	if _, err := e.guest.Exec(ctx, &guestv1.ExecRequest{
		ProcessId: name, Process: wire.ProcessToProto(p), Privileged: c.Privileged, Detach: c.Detach,
	}); err != nil {
		e.abandon(ctx, name)
		return nil, e.explain(err)
	}
	process, err := e.newProcess(ctx, name, 0, processStreams{
		terminal: p.Terminal, stdin: p.Stdin, none: c.Detach && !p.Terminal, await: !c.Detach,
	})
	if err != nil {
		e.abandon(ctx, name)
		return nil, err
	}
	return process, nil
}

// abandon ends a process that may or may not have been started.
func (e *Engine) abandon(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	// Mostly it has not been, and is not found.
	_, _ = e.guest.Signal(ctx, &guestv1.SignalRequest{ProcessId: name, Signal: int32(syscall.SIGKILL)})
}
