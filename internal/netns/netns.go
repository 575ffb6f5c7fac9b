// Package netns opens, makes and enters network namespaces. The rules of
// setns(2) for threads live here and nowhere else: code runs in another
// namespace on a goroutine of its own, on a thread that is thrown away when it
// cannot return.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/containerd/errdefs"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// current is the namespace of the calling thread. "self" would be that of
// the process's first thread, whichever calls.
const current = "/proc/thread-self/ns/net"

// Namespace is an open network namespace. The kernel keeps it for as long as
// it is open, even without a process inside.
type Namespace struct {
	handle vns.NsHandle
}

// New makes a fresh namespace with nothing but a loopback interface that is
// down. The caller's thread stays where it is.
func New() (*Namespace, error) {
	var made *Namespace
	err := onThread(func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("make network namespace: the host allows no further one: raise user.max_net_namespaces (sysctl): %w: %w",
				errdefs.ErrResourceExhausted, err)
		}
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		made, err = OpenPath(current)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// Current opens the namespace of the caller's thread.
func Current() (*Namespace, error) { return OpenPath(current) }

// OpenPath opens the namespace that path names, such as /proc/PID/ns/net or a
// bind mount of it. A path that does not exist is errdefs.ErrNotFound, one that
// is no network namespace errdefs.ErrInvalidArgument.
func OpenPath(path string) (*Namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("network namespace %s: is not there: %w", path, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: is not a network namespace: %w", path, errdefs.ErrInvalidArgument)
	}
	return &Namespace{handle: vns.NsHandle(fd)}, nil
}

// Path is a path to the namespace, valid within this process until Close.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/self/fd/%d", n.FD()) }

// FD is the open file of the namespace, valid until Close.
func (n *Namespace) FD() int { return int(n.handle) }

// Close lets go of the namespace. It may be called again.
func (n *Namespace) Close() error {
	if !n.handle.IsOpen() {
		return nil
	}
	return n.handle.Close()
}

// Do runs f inside the namespace and returns its error. It runs on another
// goroutine, locked to its thread: sockets and files that f opens belong to the
// namespace for good, goroutines that f starts do not run inside. A resolver
// may leave the thread; use literal addresses.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := vns.Set(n.handle); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// Alone takes the lock of a namespace, or where that is nil of the caller's, which is among
// processes (flock(2)) and ends with its holder, however that ends. Where somebody else has it, it waits until
// nobody does and returns nil: all who have waited go on at once, none of them with the lock.
func Alone(n *Namespace) (unlock func(), err error) {
	path := current
	if n != nil {
		path = n.Path()
	}
	f, err := os.Open(path) // a file of its own: locks are of open files
	if err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	err = lock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { _ = f.Close() }, nil // of a file that nothing was written to
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = lock(f, unix.LOCK_SH)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	return nil, nil
}

func lock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// home opens the namespace of the process: that of every thread that no goroutine is
// locked to. It stays open for as long as the process lives.
var home = sync.OnceValues(vns.Get)

// onThread runs f on a locked thread and brings the thread back to the
// namespace that it came from. If it cannot, it stays locked, and the Go
// runtime ends it with the goroutine.
func onThread(f func() error) error {
	err := errors.New("left without returning") // runtime.Goexit, as of testing.T.Fatal
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		back, openErr := home()
		if openErr != nil {
			err = fmt.Errorf("open own network namespace: %w", openErr)
			return
		}
		defer func() {
			if vns.Set(back) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = f()
	}()
	<-done
	return err
}
