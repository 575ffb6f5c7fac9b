package stack_test

import (
	"testing"
	"unsafe"

	"patchbay.dev/patchbay/internal/stack"
)

// A goroutine that has grown its stack does not move when it needs it.
func TestGrow(t *testing.T) {
	t.Parallel()
	for grown, want := range map[bool]bool{true: false, false: true} {
		moved := make(chan bool)
		go func() {
			if grown {
				stack.Grow()
			}
			var here byte
			before := address(&here)
			moved <- descend(100) != 100 || address(&here) != before
		}()
		if got := <-moved; got != want {
			t.Errorf("grown %v: got moved %v, want %v", grown, got, want)
		}
	}
}

// address is where something is on the stack, as a number, which nobody follows.
//
//go:noinline
func address(b *byte) uintptr { return uintptr(unsafe.Pointer(b)) }

// descend takes some 80 bytes of the stack for each step.
//
//go:noinline
func descend(steps int) int {
	if steps == 0 {
		return 0
	}
	return descend(steps-1) + 1
}
