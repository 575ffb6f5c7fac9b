// Package initproc is the minimal init of a container with --init: process 1 that
// starts the command, passes signals on, reaps all children, and ends as the
// command does.
package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadyFD is a file descriptor that init closes as soon as it passes signals on.
const ReadyFD = 3

// Threads is how many threads init can have: they are tasks of the container as its
// processes are, and to count against a limit of those as well.
const Threads = 9

// The Go runtime makes threads by the number of processors: with one of them it
// needs few, however many the machine has. What the command would see in that
// variable waits in another.
const (
	processors        = "GOMAXPROCS="
	processorsCommand = "PATCHBAY_INIT_GOMAXPROCS="
)

// Environment returns what init is to be started with, so that the command gets
// env.
func Environment(env []string) []string {
	out := []string{processors + "1"}
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, processors); ok {
			entry = processorsCommand + value
		}
		out = append(out, entry)
	}
	return out
}

// commandEnvironment undoes Environment.
func commandEnvironment(env []string) []string {
	var out []string
	for _, entry := range env {
		if strings.HasPrefix(entry, processors) {
			continue
		}
		if value, ok := strings.CutPrefix(entry, processorsCommand); ok {
			entry = processors + value
		}
		out = append(out, entry)
	}
	return out
}

// Main runs args (the command after "--") and returns the exit code for this
// process: the command's, 128 + n when it ended by signal n, 127 when it is not
// there and 126 when it cannot be executed.
func Main(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "init: no command")
		return 127
	}
	// Before the start of the command: a signal must not be lost.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	_ = unix.Close(ReadyFD)
	pid, err := start(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "exec: %v\n", err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 126
	}
	for s := range signals {
		switch s {
		case unix.SIGCHLD:
			if code, ended := reap(pid); ended {
				return code
			}
		case unix.SIGURG: // the Go runtime's own
		case unix.SIGTTIN, unix.SIGTTOU:
		default:
			_ = unix.Kill(pid, s.(syscall.Signal))
		}
	}
	return 1
}

// start starts the command in a process group of its own, which gets the
// terminal, if there is one.
func start(args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, err
	}
	_, ttyErr := unix.IoctlGetTermios(0, unix.TCGETS)
	attr := &syscall.ProcAttr{
		Env:   commandEnvironment(os.Environ()),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: ttyErr == nil, Ctty: 0},
	}
	return syscall.ForkExec(path, args, attr)
}

// reap waits for all ended children and reports the end of the command.
func reap(command int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || pid <= 0:
			return code, ended
		case pid == command && status.Signaled():
			code, ended = 128+int(status.Signal()), true
		case pid == command:
			code, ended = status.ExitStatus(), true
		}
	}
}
