package terminal

import (
	"context"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Signals collects the signals that were sent to this process and are meant for
// another.
type Signals struct {
	incoming chan os.Signal
	stop     func()
}

// CatchSignals catches the signals that people and supervisors send. From here
// on they do nothing but wait for Forward.
func CatchSignals() *Signals {
	s := &Signals{incoming: make(chan os.Signal, 32)}
	signal.Notify(s.incoming, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	s.stop = sync.OnceFunc(func() { signal.Stop(s.incoming) })
	return s
}

// Forward calls send with the name of each signal until ctx ends. It returns
// when the last call has.
func (s *Signals) Forward(ctx context.Context, send func(name string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case got := <-s.incoming:
			if n, ok := got.(unix.Signal); ok {
				send(unix.SignalName(n))
			}
		}
	}
}

// Stop lets signals have their usual effect again.
func (s *Signals) Stop() { s.stop() }

// SurviveBrokenPipe has writes to a standard output that nobody reads fail with
// EPIPE, rather than end this process.
func SurviveBrokenPipe() { signal.Ignore(unix.SIGPIPE) }
