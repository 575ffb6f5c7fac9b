package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
)

// Standby is an OCI runtime that was started before anybody knows what it is to create:
// it has loaded its libraries and waits for the specification.
//
// In place of the file it finds a pipe (fifo(7)), whose opening waits for the other
// side's. So once the pipe is open on this side, the runtime is about to read it. It
// reads the specification once more, for its own state: then it finds a file.
type Standby struct {
	of        version
	child     *reaper.Child
	directory *os.File      // for the paths that the runtime was told
	pipe      string        // its path
	opened    chan *os.File // gives the pipe when it is open on both sides; nil when never
}

// Await starts the runtime for a Create with the same child. The directory, which the
// Standby owns from here on, is that of the program's state, which may move meanwhile. The copy is of the
// program and stays the caller's. Other programs than crun are
// errors.ErrUnsupported: nobody knows how they read.
func (p Program) Await(directory *os.File, copied *Copy, c Child) (_ *Standby, err error) {
	defer func() {
		if err != nil {
			directory.Close()
		}
	}()
	if !IsCrun(p.Path) {
		return nil, fmt.Errorf("%s on standby: %w", p.Path, errors.ErrUnsupported)
	}
	file, err := copied.above(c.Files)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p.executable = fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	p.StateDir = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), directory.Fd())
	s := &Standby{of: copied.of, directory: directory, pipe: p.specificationFile(), opened: make(chan *os.File, 1)}
	if err := unix.Mkfifo(s.pipe, 0o600); err != nil {
		return nil, fmt.Errorf("pipe %s: %w", s.pipe, err)
	}
	if s.child, err = p.Reaper.Begin(p.command(createCommand, p.createArgs(c), c.Files)); err != nil {
		return nil, errors.Join(err, os.Remove(s.pipe))
	}
	go func() {
		defer close(s.opened)
		if pipe, err := os.OpenFile(s.pipe, os.O_WRONLY, 0); err == nil {
			s.opened <- pipe
		}
	}()
	return s, nil
}

// claim returns the pipe that the runtime reads, or nil when there is none that does what
// the program at path would do now. It ends one that does not.
func (s *Standby) claim(ctx context.Context, path string) *os.File {
	if s == nil {
		return nil
	}
	if s.of.is(path) {
		select {
		case pipe := <-s.opened:
			if pipe != nil {
				return pipe
			}
		case <-s.child.Done(): // it does not do with a pipe
		case <-ctx.Done():
		}
	}
	s.End()
	return nil
}

// create has the runtime create what the specification says, and returns how it ended.
func (s *Standby) create(ctx context.Context, pipe *os.File, specification []byte) (unix.WaitStatus, error) {
	defer s.directory.Close()
	defer context.AfterFunc(ctx, func() { _ = s.child.Signal(unix.SIGKILL) })() // it may be all that reads
	err := replaceFile(s.pipe, specification)
	if err == nil {
		_, err = pipe.Write(specification)
	}
	if err = cmp.Or(err, pipe.Close()); err != nil {
		_ = s.child.Signal(unix.SIGKILL)
	}
	status, waitErr := s.child.Wait(ctx)
	return status, cmp.Or(waitErr, err)
}

// End ends a runtime that was not used.
func (s *Standby) End() {
	_ = s.child.Signal(unix.SIGKILL)
	<-s.child.Done()
	// Who waits for the other side of the pipe is to go on.
	if other, err := os.OpenFile(s.pipe, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		defer other.Close()
	}
	if pipe := <-s.opened; pipe != nil {
		pipe.Close()
	}
	s.directory.Close()
}
