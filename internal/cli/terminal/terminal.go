// Package terminal drives the terminal that a command line runs in: raw mode,
// size, detach keys, signals.
package terminal

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Is reports whether a file is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// MakeRaw turns off everything that the kernel does to what is typed, so that
// it reaches the container as it is. The result undoes it, once.
func MakeRaw(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: raw mode: %w", err)
	}
	return sync.OnceFunc(func() { term.Restore(fd, old) }), nil //nolint:errcheck // the terminal is gone then, and nobody sees it
}

// Size is a window's number of columns and rows.
type Size struct{ Width, Height int }

// WatchSize calls resize with the window's size, now and after each change,
// until ctx ends. It returns when the last call has.
func WatchSize(ctx context.Context, f *os.File, resize func(Size)) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	defer signal.Stop(changed)
	for {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			resize(Size{Width: w, Height: h})
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
