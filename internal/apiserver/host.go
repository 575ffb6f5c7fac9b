package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/layout"
)

// makeDirectories makes the two roots. Others may pass through the run root to
// the socket; all else is root's alone.
func makeDirectories(r layout.Roots) error {
	if err := os.MkdirAll(r.Root, 0o700); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := os.MkdirAll(r.RunRoot, 0o755); err != nil {
		return fmt.Errorf("run root: %w", err)
	}
	for _, d := range []string{r.Networks(), r.Sandboxes(), r.Newcomers()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("run root: %w", err)
		}
	}
	return nil
}

// removeEmpty removes the directories of helpers where nothing runs on: after
// "system stop".
func removeEmpty(r layout.Roots) {
	for _, d := range []string{r.Networks(), r.Sandboxes(), r.Standby(), r.Newcomers()} {
		_ = os.Remove(d) // one that is not empty stays
	}
}

// lock makes this process the only one that serves the instance, for as long as
// the file is open, and writes its id there.
func lock(r layout.Roots) (*os.File, error) {
	f, err := os.OpenFile(r.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run root: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = outlive(f, r)
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), writePID(f))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// outlive waits for the lock of a patchbayd that was killed: what it was about to start
// still has its files, until that is executed. One that lives is
// errdefs.ErrAlreadyExists.
func outlive(f *os.File, r layout.Roots) error {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return err
	}
	owner := strings.TrimSpace(string(text))
	if pid, err := strconv.Atoi(owner); err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	return fmt.Errorf("run root %s: is served by another patchbayd (process %s): %w", r.RunRoot, owner, errdefs.ErrAlreadyExists)
}

func writePID(f *os.File) error {
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// listen makes the socket anew: the lock says that nobody serves the old one.
// Where other users than root may call, all may connect; who calls is checked
// by the peer's credentials.
func listen(path string, others bool) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	mode := os.FileMode(0o600)
	if others {
		mode = 0o666
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), l.Close())
	}
	return l, nil
}
