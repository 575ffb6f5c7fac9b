package helper

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/timerslack"
)

// Verb says which program to run for one short job, such as "cleanup" or
// "check" of a runtime.
type Verb struct {
	Binary      string
	Name        string // argv[0]
	Args        []string
	Environment []string // KEY=VALUE, beside the few that all helpers get
	// Isolate makes it process 1 of a PID namespace, with a mount namespace: nothing
	// that it starts outlives it.
	Isolate bool
}

// Run runs a program to its end and returns its standard output. An error holds
// the last lines of its standard error. When ctx ends the program is killed.
func Run(ctx context.Context, v Verb) ([]byte, error) {
	var stdout bytes.Buffer
	err := run(ctx, v, &stdout)
	return stdout.Bytes(), err
}

// RunLines is Run for a program that tells as it goes: each line of its standard
// output is passed on when it comes.
func RunLines(ctx context.Context, v Verb, line func([]byte)) error {
	return run(ctx, v, &lines{line: line})
}

func run(ctx context.Context, v Verb, stdout io.Writer) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, v.Binary, v.Args...)
	cmd.Args[0] = v.Name
	cmd.Env = environment(v.Environment)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	cmd.WaitDelay = time.Second // its own children may keep the pipes
	if v.Isolate {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	}
	err := timerslack.Usual(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err == nil {
		return nil
	}
	words := strings.Join(strings.FieldsFunc(stderr.String(), func(r rune) bool { return r == '\n' }), "; ")
	if len(words) > tailBytes {
		words = words[len(words)-tailBytes:]
	}
	return fmt.Errorf("%s %s: %w: %s: %w", v.Name, strings.Join(v.Args, " "), err, words, errdefs.ErrUnavailable)
}

// lines is written to in pieces of any size and passes whole lines on.
type lines struct {
	line func([]byte)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		l.line(line)
		l.rest = rest
	}
}
