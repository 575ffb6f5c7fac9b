package first_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"patchbay.dev/patchbay/internal/stack/first"
)

// A goroutine that has grown its stack does not move when it needs 22 KiB.
func TestGrow(t *testing.T) {
	t.Parallel()
	for grown, want := range map[bool]bool{true: false, false: true} {
		moved := make(chan bool)
		go func() {
			if grown {
				first.Grow()
			}
			var here byte
			before := address(&here)
			const steps = 200
			moved <- descend(steps) != steps || address(&here) != before
		}()
		if got := <-moved; got != want {
			t.Errorf("grown %v: got moved %v, want %v", grown, got, want)
		}
	}
}

// The stack is made before the packages that would make it grow are initialized.
func TestComesFirst(t *testing.T) {
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	again.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	again.Stderr = &trace
	if err := again.Run(); err != nil {
		t.Fatal(err)
	}
	var order []string
	for line := range strings.Lines(trace.String()) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "init" {
			order = append(order, words[1])
		}
	}
	own := slices.Index(order, "patchbay.dev/patchbay/internal/stack/first")
	for _, later := range []string{"os", "reflect", "syscall", "time", "unicode"} {
		if i := slices.Index(order, later); own < 0 || i >= 0 && i < own {
			t.Errorf("got %s at %d and this package at %d, want this package before:\n%s", later, i, own, trace.String())
		}
	}
}

// address is where something is on the stack, as a number, which nobody follows.
//
//go:noinline
func address(b *byte) uintptr { return uintptr(unsafe.Pointer(b)) }

// descend takes some 110 bytes of the stack for each step.
//
//go:noinline
func descend(steps int) int {
	if steps == 0 {
		return 0
	}
	var more [32]byte
	more[steps%len(more)] = 1
	return descend(steps-1) + int(more[steps%len(more)])
}
