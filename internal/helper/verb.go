package helper

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// Verb says which program to run for one short job, such as "cleanup" or
// "check" of a runtime.
type Verb struct {
	Binary      string
	Name        string // argv[0]
	Args        []string
	Environment []string // KEY=VALUE, beside the few that all helpers get
}

// Run runs a program to its end and returns its standard output. An error holds
// the last lines of its standard error. When ctx ends the program is killed.
func Run(ctx context.Context, v Verb) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, v.Binary, v.Args...)
	cmd.Args[0] = v.Name
	cmd.Env = environment(v.Environment)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // its own children may keep the pipes
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	words := strings.Join(strings.FieldsFunc(stderr.String(), func(r rune) bool { return r == '\n' }), "; ")
	if len(words) > tailBytes {
		words = words[len(words)-tailBytes:]
	}
	return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s: %w", v.Name, strings.Join(v.Args, " "), err, words, errdefs.ErrUnavailable)
}
