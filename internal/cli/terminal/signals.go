package terminal

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Signals are those that are sent to this process. At first they end it, as is usual. To
// hear of them takes threads and memory, so that a command says when it needs to.
type Signals struct {
	interrupt func()
	begin     sync.Once
	incoming  chan os.Signal
	caught    atomic.Bool    // they are meant for another process
	passed    chan os.Signal // those that came since
}

// NewSignals returns the signals of this process; interrupt is for Interrupt, and may be
// called more than once.
func NewSignals(interrupt func()) *Signals {
	return &Signals{interrupt: interrupt, incoming: make(chan os.Signal, 1), passed: make(chan os.Signal, 32)}
}

// Interrupt has SIGINT and SIGTERM interrupt the command from here on, and SIGHUP unless
// whoever started the process has it ignored, as nohup(1) does.
func (s *Signals) Interrupt() {
	s.begin.Do(func() {
		ending := []os.Signal{unix.SIGINT, unix.SIGTERM}
		if !signal.Ignored(unix.SIGHUP) {
			ending = append(ending, unix.SIGHUP)
		}
		signal.Notify(s.incoming, ending...)
		go s.watch()
	})
}

func (s *Signals) watch() {
	for got := range s.incoming {
		if !s.caught.Load() {
			s.interrupt()
			continue
		}
		select {
		case s.passed <- got:
		default: // nobody takes them any more
		}
	}
}

// Catch has the signals that people and supervisors send do nothing from here on but wait
// for Forward.
func (s *Signals) Catch() {
	s.caught.Store(true)
	s.Interrupt()
	signal.Notify(s.incoming, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
}

// Forward calls send with the name of each signal that was caught until ctx ends. It
// returns when the last call has.
func (s *Signals) Forward(ctx context.Context, send func(name string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case got := <-s.passed:
			if n, ok := got.(unix.Signal); ok {
				send(unix.SignalName(n))
			}
		}
	}
}

// Stop lets signals have their usual effect again.
func (s *Signals) Stop() { signal.Stop(s.incoming) }

// SurviveBrokenPipe has writes to a standard output that nobody reads fail with
// EPIPE, rather than end this process.
func SurviveBrokenPipe() { signal.Ignore(unix.SIGPIPE) }
