package netns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Who waits for a lock tries again after the first of these, and at most after the second: all who
// wait go on at about the same time, and a holder that stands still costs next to nothing.
const (
	firstPause = time.Millisecond
	longPause  = 32 * time.Millisecond
)

// Shared is something that processes of a namespace share, and that one of them makes where it is missing.
type Shared struct {
	Namespace *Namespace // nil: the caller's
	// Patience bounds the wait for another process that makes it. Then it is made beside that.
	Patience time.Duration
	Log      *slog.Logger
}

// Use uses what is shared. The error of use is unix.ENOENT where that is missing; it is made then, unless
// another process does, and made has it in use.
func (s Shared) Use(use, made func() error) error {
	err := use()
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	for {
		unlock, err := Alone(ctx, s.Namespace)
		if errors.Is(err, context.DeadlineExceeded) {
			s.Log.Warn("what another process is to make is made beside it", "error", err)
			return made()
		}
		if err != nil {
			return err
		}
		if unlock != nil {
			defer unlock()
		}
		if err := use(); !errors.Is(err, unix.ENOENT) { // somebody was quicker
			return err
		}
		if unlock != nil {
			return made()
		}
	}
}

// Alone takes the lock of a namespace, or where that is nil of the caller's, which is among
// processes (flock(2)) and ends with its holder, however that ends. Where somebody else has it, it waits until
// nobody does and returns nil: all who have waited go on at once, none of them with the lock. When ctx ends
// before that, its error is that of ctx and names the holder, which may be stopped, and who may be anybody:
// every process can take the lock of the namespace that it is in.
func Alone(ctx context.Context, n *Namespace) (unlock func(), err error) {
	path := current
	if n != nil {
		path = n.Path()
	}
	f, err := os.Open(path) // a file of its own: locks are of open files
	if err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	err = lock(f, unix.LOCK_EX)
	if err == nil {
		return func() { _ = f.Close() }, nil // of a file that nothing was written to
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = await(ctx, f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	return nil, nil
}

// await waits until nobody has the lock of a file alone. flock(2) itself would wait without an end.
func await(ctx context.Context, f *os.File) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := lock(f, unix.LOCK_SH)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has it and does not let go: %w", holder(f), ctx.Err())
		case <-time.After(pause):
		}
	}
}

// lock does not wait.
func lock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// holder names the process that has the lock of a file, as far as that can be told.
func holder(f *os.File) string {
	var of unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &of); err != nil {
		return "another process"
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return "another process"
	}
	file := fmt.Sprintf(":%d", of.Ino) // after the device (proc_locks(5)), of which there is one for all namespaces
	for line := range strings.Lines(string(locks)) {
		fields := strings.Fields(line)
		if len(fields) > 5 && fields[1] == "FLOCK" && strings.HasSuffix(fields[5], file) {
			name, _ := os.ReadFile("/proc/" + fields[4] + "/comm") // it may have ended
			return fmt.Sprintf("process %s (%s)", fields[4], strings.TrimSpace(string(name)))
		}
	}
	return "another process"
}
