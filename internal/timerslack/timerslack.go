// Package timerslack has the kernel wake a process less often for what can wait a
// moment.
//
// While a Go program works, a thread of the Go runtime looks 20 microseconds after each of
// its looks whether something is to be done. With the kernel's usual slack that
// is ten times in a millisecond, each time with an interrupt of a timer and two
// switches, in every process that takes part in an operation.
package timerslack

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	// PR_SET_TIMERSLACK is for the calling thread alone; /proc/PID/timerslack_ns
	// (proc(5)) is for each, by its number, but not below task.
	for _, thread := range threads {
		if err := write(filepath.Base(thread), Wide); err != nil {
			return err
		}
	}
	before.Store(int64(slack))
	return nil
}

func write(thread string, slack time.Duration) error {
	f, err := os.OpenFile("/proc/"+thread+"/timerslack_ns", os.O_WRONLY, 0)
	if os.IsNotExist(err) {
		return nil // it has ended
	}
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprint(f, slack.Nanoseconds()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("timer slack: %w", err)
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
