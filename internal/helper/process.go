package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Process is one running helper, started or adopted. It is safe for concurrent
// use.
type Process struct {
	pid       int
	directory atomic.Pointer[string]
	pidfd     *os.File
	child     bool // of this process

	done chan struct{}
	// How it ended, if its parent is this process; set before done closes.
	exit  string
	clean bool
}

// Adopt finds the helper that a directory tells of, started by an earlier
// patchbayd. It is errdefs.ErrNotFound if that process is gone.
func Adopt(directory string) (*Process, error) {
	data, err := os.ReadFile(filepath.Join(directory, RecordFile))
	if errors.Is(err, os.ErrNotExist) {
		return adoptUnrecorded(directory)
	}
	if err != nil {
		return nil, fmt.Errorf("helper in %s: %w", directory, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("helper in %s: %s: %w: %w", directory, RecordFile, err, errdefs.ErrDataLoss)
	}
	pidfd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return adoptUnrecorded(directory) // what is recorded may be its forerunner
	}
	// The pidfd pins the process: read the start time after, not before. One that
	// has ended keeps its id until its parent has asked how.
	if start, err := startTime(r.PID); err != nil || start != r.StartTime || readable(pidfd) {
		if err := unix.Close(pidfd); err != nil {
			return nil, fmt.Errorf("helper in %s: %w", directory, err)
		}
		return adoptUnrecorded(directory)
	}
	return newProcess(directory, r.PID, pidfd, false)
}

// Binary returns the program that the helper in a directory was started from.
func Binary(directory string) (string, error) {
	data, err := os.ReadFile(filepath.Join(directory, RecordFile))
	if err != nil {
		return "", fmt.Errorf("helper in %s: %w", directory, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return "", fmt.Errorf("helper in %s: %s: %w: %w", directory, RecordFile, err, errdefs.ErrDataLoss)
	}
	return r.Binary, nil
}

// newProcess takes over pidfd and watches it. A pidfd that the runtime's poller
// knows costs no thread for each helper. Of a child it also asks how it has ended, which nobody
// else may then.
func newProcess(directory string, pid, pidfd int, child bool) (*Process, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("watch process %d: %w", pid, err), unix.Close(pidfd))
	}
	p := &Process{
		pid:   pid,
		pidfd: os.NewFile(uintptr(pidfd), "pidfd"),
		child: child,
		done:  make(chan struct{}),
	}
	p.directory.Store(&directory)
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch process %d: %w", pid, err), p.pidfd.Close())
	}
	go p.watch(conn)
	return p, nil
}

// watch waits for the end of the process. It ends with it, so nobody has to
// wait for it.
func (p *Process) watch(conn syscall.RawConn) {
	if err := conn.Read(func(fd uintptr) bool { return readable(int(fd)) }); err != nil {
		// The poller refused the descriptor; a thread of its own will do.
		_ = conn.Control(func(fd uintptr) { blockUntilReadable(int(fd)) })
	}
	if p.child {
		// The process keeps its id until now. Who traces it learns of its end first, and is waited for.
		status, err := reap(p.pid)
		p.exit, p.clean = describeExit(status), status == 0
		if err != nil {
			p.exit, p.clean = fmt.Sprintf("wait for process %d: %v", p.pid, err), false
		}
	}
	close(p.done)
	p.pidfd.Close()
}

func readable(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

func blockUntilReadable(fd int) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}

func reap(pid int) (status unix.WaitStatus, err error) {
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// describeExit is in the words of os.ProcessState.
func describeExit(status unix.WaitStatus) string {
	if !status.Signaled() {
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	}
	words := "signal: " + status.Signal().String()
	if status.CoreDump() {
		words += " (core dumped)"
	}
	return words
}

// PID is the helper's process id as this process sees it.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// StderrTail returns the last lines that the helper wrote to standard error, as
// one line.
func (p *Process) StderrTail() string { return tail(*p.directory.Load()) }

// Move renames the helper's directory, with its socket and its record, in one step:
// the helper is found by the one path or the other at any time. Nothing but
// perhaps an empty directory may be at the new path.
func (p *Process) Move(directory string) error {
	if err := os.Rename(*p.directory.Load(), directory); err != nil {
		return fmt.Errorf("move helper %d: %w", p.pid, err)
	}
	p.directory.Store(&directory)
	return nil
}

// Death says how the process ended and what it wrote last. Call it after Done.
func (p *Process) Death() string {
	how := "ended"
	if p.exit != "" {
		how += " (" + p.exit + ")"
	}
	if words := p.StderrTail(); words != "" {
		return how + ": " + words
	}
	return how + " without a word"
}

// Clean reports whether the process is known to have ended by itself with
// status 0. Of one that was adopted that is not known.
func (p *Process) Clean() bool {
	select {
	case <-p.done:
		return p.clean
	default:
		return false
	}
}

// Ready waits until hello returns nil, which it does when the helper answers,
// until the helper dies or until ctx ends. hello is called once and must
// return when its context ends. Errors are errdefs.ErrUnavailable and hold the
// helper's own words, or what hello returned.
func (p *Process) Ready(ctx context.Context, hello func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan error, 1)
	var asking sync.WaitGroup
	asking.Go(func() { answer <- hello(ctx) })
	select {
	case err := <-answer:
		if err == nil {
			return nil
		}
		return p.blame(ctx, err)
	case <-p.done:
		cancel()
		asking.Wait()
		return fmt.Errorf("%s: %w", p.Death(), errdefs.ErrUnavailable)
	}
}

// SilenceError says that a helper lives but did not answer in time. It is
// errdefs.ErrUnavailable.
type SilenceError struct {
	// Words are the last lines that the helper wrote to standard error.
	Words string
}

func (e *SilenceError) Error() string {
	if e.Words == "" {
		return "did not answer in time"
	}
	return "did not answer in time; it wrote: " + e.Words
}

func (e *SilenceError) Unwrap() error { return errdefs.ErrUnavailable }

// deathDelay is how long a process that comes to its end may take from closing its
// socket until the kernel ends it.
const deathDelay = time.Second

// blame finds out why hello failed: a helper that dies closes its socket a
// moment before it is gone.
func (p *Process) blame(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return &SilenceError{p.StderrTail()}
	}
	late := errors.Is(err, context.DeadlineExceeded)
	if !late && !errors.Is(err, errdefs.ErrUnavailable) {
		return err
	}
	timer := time.NewTimer(deathDelay)
	defer timer.Stop()
	var deadline <-chan struct{}
	if late {
		deadline = ctx.Done() // the other side's clock was a moment ahead
	}
	for {
		select {
		case <-deadline:
			return &SilenceError{p.StderrTail()}
		case <-p.done:
			return fmt.Errorf("%s: %w", p.Death(), errdefs.ErrUnavailable)
		case <-timer.C:
			if !p.Ending() {
				return err
			}
		}
	}
}

// exiting is PF_EXITING of linux/sched.h: the kernel ends the process. It is set before what
// the process has open is closed.
const exiting = 0x4

// Ending reports whether the kernel ends the process, or has ended it: Done is closed then or will be
// soon, as soon as the process gets a processor for that.
func (p *Process) Ending() bool {
	flags, err := statField(p.pid, 9)
	return err != nil || flags&exiting != 0
}

// Terminate asks the process to end (SIGTERM), and kills it when it has not
// after the grace. It returns when the process is gone.
func (p *Process) Terminate(grace time.Duration) {
	p.signal(unix.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// Kill kills the process and returns when it is gone.
func (p *Process) Kill() {
	p.signal(unix.SIGKILL)
	<-p.done
}

// signal goes by the pidfd: it cannot hit another process that got the id.
func (p *Process) signal(s unix.Signal) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return // closed: the process is gone
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.PidfdSendSignal(int(fd), s, nil, 0)
	})
}

// startTime returns when a process was started, in clock ticks since boot.
func startTime(pid int) (uint64, error) { return statField(pid, 22) }

// statField returns a number of proc_pid_stat(5), which counts its fields from 1. The first two
// are none.
func statField(pid, field int) (uint64, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The second field, the name, may hold spaces and parentheses.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < field-2 {
		return 0, fmt.Errorf("%s: %q: want at least %d fields", path, data, field)
	}
	return strconv.ParseUint(fields[field-3], 10, 64)
}

func marshal(r record) ([]byte, error) { return json.MarshalIndent(r, "", "  ") }
