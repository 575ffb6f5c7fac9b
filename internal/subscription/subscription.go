// Package subscription receives what the kernel tells the groups of netlink(7). Who waits
// for it has no buffer meanwhile, unlike with the client of package netlink, which keeps 64
// KiB on the stack of each goroutine that waits.
package subscription

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/sockfilter"
)

// Subscription is a socket that receives of groups. It is safe for concurrent use.
type Subscription struct {
	file *os.File
	raw  syscall.RawConn
}

// Open returns one of a protocol, such as unix.NETLINK_ROUTE, to some of its groups, in a
// namespace or, where that is nil, the caller's.
func Open(ns *netns.Namespace, protocol int, groups ...int) (*Subscription, error) {
	fd, err := socket(ns, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink: subscribe: %w", err)
	}
	s, err := of(fd, "netlink")
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		err = errors.Join(err, s.Join(group))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Dial returns one of what a process sends by a unix socket (SOCK_SEQPACKET): datagrams of
// netlink messages. It has no groups and no filter.
func Dial(path string) (*Subscription, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("dial %s: %w", path, err)
	}
	return of(fd, path)
}

// of takes a socket over that does not block.
func of(fd int, name string) (*Subscription, error) {
	s := &Subscription{file: os.NewFile(uintptr(fd), name)}
	var err error
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Bound has a Receive fail with os.ErrDeadlineExceeded at a time, zero for never.
func (s *Subscription) Bound(until time.Time) error { return s.file.SetReadDeadline(until) }

// Write sends a datagram to the process that was dialed.
func (s *Subscription) Write(datagram []byte) error {
	_, err := s.file.Write(datagram)
	return err
}

func socket(ns *netns.Namespace, protocol int) (fd int, err error) {
	open := func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	}
	if ns == nil {
		err = open()
	} else {
		err = ns.Do(open)
	}
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// Join subscribes to one more group. After Close it is os.ErrClosed.
func (s *Subscription) Join(group int) error { return s.set(unix.NETLINK_ADD_MEMBERSHIP, group) }

// Leave ends what Join began.
func (s *Subscription) Leave(group int) error { return s.set(unix.NETLINK_DROP_MEMBERSHIP, group) }

func (s *Subscription) set(option, group int) error {
	err := s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, group) })
	if err != nil {
		return fmt.Errorf("netlink: group %d: %w", group, err)
	}
	return nil
}

// Filter has the kernel pick what is received, from now on.
func (s *Subscription) Filter(f sockfilter.Filter) error { return s.control(f.Attach) }

// Unfilter ends what Filter began.
func (s *Subscription) Unfilter() error { return s.control(sockfilter.Detach) }

func (s *Subscription) control(f func(fd int) error) (err error) {
	if failed := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); failed != nil {
		return os.ErrClosed // for which alone it fails
	}
	return err
}

// Send sends a request, whose answer is received. It returns when the kernel has done what
// was asked for.
func (s *Subscription) Send(request []byte) (err error) {
	failed := s.raw.Write(func(fd uintptr) (done bool) {
		err = unix.Sendto(int(fd), request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(err, unix.EAGAIN)
	})
	if failed != nil {
		return os.ErrClosed // for which alone it fails
	}
	return err
}

// Receive waits for messages. Its error is unix.ENOBUFS when some were lost, for which there
// was no room, os.ErrClosed after Close, and io.EOF where it was dialed and the other side has
// ended.
func (s *Subscription) Receive() (messages []syscall.NetlinkMessage, err error) {
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		messages, err = receive(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case errors.Is(failed, os.ErrDeadlineExceeded):
		return nil, failed
	case failed != nil:
		return nil, os.ErrClosed // as above
	}
	return messages, err
}

// Wait returns when there is something to receive, or an error that Receive would have, and
// leaves it there. It is os.ErrClosed after Close.
func (s *Subscription) Wait() error {
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
	if failed != nil {
		return os.ErrClosed // as above
	}
	return nil
}

// Next is Receive that does not wait: where there is nothing, its error is unix.EAGAIN.
func (s *Subscription) Next() (messages []syscall.NetlinkMessage, err error) {
	if failed := s.control(func(fd int) error { messages, err = receive(fd); return nil }); failed != nil {
		return nil, failed
	}
	return messages, err
}

func receive(fd int) ([]syscall.NetlinkMessage, error) {
	size, _, err := unix.Recvfrom(fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC) // does not wait: never EINTR
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, io.EOF
	}
	data := make([]byte, size)
	if size, _, err = unix.Recvfrom(fd, data, 0); err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(data[:size])
}

// SyscallConn implements syscall.Conn.
func (s *Subscription) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }

// Close ends it; a Receive that waits fails.
func (s *Subscription) Close() { s.file.Close() }
