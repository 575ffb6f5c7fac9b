// Package netns opens, makes and enters network namespaces. The rules of
// setns(2) for threads live here and nowhere else: code runs in another
// namespace on a goroutine of its own, on a thread that is thrown away when it
// cannot return.
package netns

import (
	"errors"
	"fmt"
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
