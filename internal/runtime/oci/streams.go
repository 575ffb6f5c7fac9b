package oci

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/program"
	"patchbay.dev/patchbay/internal/stdio"
)

// consoleTimeout bounds the wait for the terminal after the OCI runtime has
// succeeded: it is on its way then.
const consoleTimeout = 5 * time.Second

// streams are both ends of a process's standard streams.
type streams struct {
	theirs []*os.File // 0, 1, 2 of the process
	stdin  *os.File   // our ends; nil where there is none
	stdout *os.File
	stderr *os.File

	ready *os.File // ends when the minimal init passes signals on; nil without one

	console  *console // with a terminal
	terminal *os.File // received from console
}

func openStreams(dir string, c streamConfig) (*streams, error) {
	s := &streams{}
	if err := s.open(dir, c); err != nil {
		s.closeTheirs()
		s.closeOurs()
		return nil, err
	}
	return s, nil
}

func (s *streams) open(dir string, c streamConfig) (err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.theirs = []*os.File{null, null, null}
	if c.init {
		var theirs *os.File
		if s.ready, theirs, err = os.Pipe(); err != nil {
			return err
		}
		s.theirs = append(s.theirs, theirs) // initproc.ReadyFD
	}
	if c.terminal {
		s.console, err = listenConsole(filepath.Join(dir, "tty-"+c.name))
		return err
	}
	if c.none {
		return nil
	}
	if c.stdin {
		if s.theirs[0], s.stdin, err = os.Pipe(); err != nil {
			return err
		}
	}
	if s.stdout, s.theirs[1], err = os.Pipe(); err != nil {
		return err
	}
	s.stderr, s.theirs[2], err = os.Pipe()
	return err
}

// child is the process of that name, for the OCI runtime.
func (s *streams) child(name string) program.Child {
	c := program.Child{Files: s.theirs, PIDFile: name + ".pid"}
	if s.console != nil {
		c.Console = s.console.path
	}
	return c
}

// closeTheirs closes what the process has inherited, and the socket that its
// terminal came by.
func (s *streams) closeTheirs() {
	for _, f := range s.theirs {
		if f != nil {
			_ = f.Close() // the null device is there more than once
		}
	}
	if s.console != nil {
		s.console.close()
	}
}

// readiness returns a channel that is closed when the minimal init passes signals
// on, or has ended; nil without one.
func (s *streams) readiness() <-chan struct{} {
	if s.ready == nil {
		return nil
	}
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		_, _ = io.Copy(io.Discard, s.ready)
		_ = s.ready.Close()
	}()
	return ready
}

func (s *streams) closeOurs() {
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr, s.ready, s.terminal} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// start returns a hub for our ends, which owns them from here on.
func (s *streams) start(c streamConfig) *stdio.Hub {
	config := c.hub
	var in io.WriteCloser
	switch {
	case s.terminal != nil:
		in, config.Terminal = s.terminal, true
	case s.stdin != nil:
		in = s.stdin
	}
	config.Stdin = in
	hub := stdio.NewHub(config)
	if s.terminal != nil {
		hub.Copy(false, s.terminal)
		return hub
	}
	if s.stdout != nil {
		hub.Copy(false, s.stdout)
		hub.Copy(true, s.stderr)
	}
	return hub
}

// console is the socket that an OCI runtime sends a process's terminal to.
type console struct {
	path     string
	listener *net.UnixListener
}

func listenConsole(path string) (*console, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("terminal socket: %w", err)
	}
	return &console{path, l}, nil
}

func (c *console) close() { _ = c.listener.Close() } // removes the socket too

// receive returns the terminal.
func (c *console) receive(deadline time.Time) (*os.File, error) {
	if err := c.listener.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	name, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, control)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	fds, err := rights(control[:n])
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	if len(fds) != 1 {
		return nil, fmt.Errorf("terminal: got %d files: want 1: %w", len(fds), errdefs.ErrInternal)
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

// rights returns the files of a control message (SCM_RIGHTS, unix(7)).
func rights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}
