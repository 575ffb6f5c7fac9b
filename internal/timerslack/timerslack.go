// Package timerslack has the kernel wake a process less often for what can wait a
// moment.
//
// While a Go program works, a thread of the Go runtime looks 20 microseconds after each of
// its looks whether something is to be done. With the kernel's usual slack that
// is ten times in a millisecond, each time with an interrupt of a timer and two
// switches, in every process that takes part in an operation.
package timerslack

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Wide is how much later than asked for a thread may be woken that waits for a time.
// Who waits for an event is woken at once.
const Wide = time.Millisecond

// before is the slack in nanoseconds that this process was started with, once it has
// widened its own; 0: it has not.
var before atomic.Int64

// Widen gives all threads of this process the slack Wide, and with them all that
// these start, programs too unless they are started within Usual. A program calls
// it when it begins, before it starts others.
func Widen() error {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	all, err := threads()
	if err != nil {
		return fmt.Errorf("timer slack: threads: %w", err)
	}
	// PR_SET_TIMERSLACK is for the calling thread alone; /proc/PID/timerslack_ns
	// (proc(5)) is for each, by its number, but not below task.
	for _, thread := range all {
		if err := write(thread, Wide); err != nil {
			return fmt.Errorf("timer slack of thread %s: %w", thread, err)
		}
	}
	before.Store(int64(slack))
	return nil
}

// Files are read and written by system calls alone: an os.File is offered to the poller
// first, which makes eight calls of three, in each process that begins.

// threads are those of this process, by number.
func threads() ([]string, error) {
	fd, err := unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []string
	buffer := make([]byte, 1024)
	for {
		n, err := unix.ReadDirent(fd, buffer)
		if err != nil || n == 0 {
			return all, err
		}
		_, _, all = unix.ParseDirent(buffer[:n], -1, all)
	}
}

// write sets the slack of a thread. One that has ended is none.
func write(thread string, slack time.Duration) error {
	fd, err := unix.Open("/proc/"+thread+"/timerslack_ns", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, strconv.AppendInt(nil, slack.Nanoseconds(), 10)); !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Usual runs start, which is to start a program that is none of Patchbay's, with the slack
// that this process was started with: programs inherit it.
func Usual(start func() error) error {
	slack := before.Load()
	if slack == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := set(time.Duration(slack)); err != nil {
		return err
	}
	defer func() { _ = set(Wide) }() // of what could be set a moment ago
	return start()
}

// set sets the slack of the calling thread.
func set(slack time.Duration) error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack.Nanoseconds()), 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	return nil
}
