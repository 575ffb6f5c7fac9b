// Package console reads what a guest has said on its serial port.
package console

import (
	"os"
	"slices"
	"strings"

	"patchbay.dev/patchbay/internal/wire"
)

const (
	// tailBytes bounds what is looked at of a guest's console, tailLines and
	// tailText what of it goes into an error.
	tailBytes = 32 << 10
	tailLines = 3
	tailText  = 1024
)

// panicked is how the kernel begins its last words (kernel/panic.c).
const panicked = "Kernel panic - not syncing: "

// lastLines returns what a guest has said last, without empty lines.
func lastLines(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	data = data[max(0, len(data)-tailBytes):]
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(data), ""), func(r rune) bool { return r == '\n' || r == '\r' })
	return slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
}

// tail returns the last lines of a console as one line.
func tail(path string) string {
	lines := lastLines(path)
	text := strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
	return text[max(0, len(text)-tailText):]
}

// panicOf returns why a guest's kernel has given up, as its console says; "" if it
// has not. What it says after that, a trace of calls, is for others.
func panicOf(path string) string {
	for _, line := range lastLines(path) {
		if _, reason, ok := strings.Cut(line, panicked); ok {
			return reason[:min(len(reason), tailText)]
		}
	}
	return ""
}

// Explain adds to an error why a machine went down, "" where nobody knows, and
// what its guest said last, in the same line.
func Explain(err error, reason, path string) error {
	if text := Ending(reason, path); text != "" {
		return &explained{text: wire.Text(err) + "; " + text, err: err}
	}
	return err
}

// explained is an error with more text, which is not behind the name of its kind.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Ending is why a machine went down and what its guest said last.
func Ending(reason, path string) string {
	if why := panicOf(path); why != "" {
		return "the guest's kernel has panicked: " + why
	}
	said := tail(path)
	if said != "" {
		said = "the end of its console: " + said
	}
	if reason != "" && said != "" {
		return reason + "; " + said
	}
	return reason + said
}
