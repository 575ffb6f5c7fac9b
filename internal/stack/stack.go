// Package stack gives goroutines that are about to work the stack for it at once.
package stack

// room is the frame of a function that makes a stack of 16 KiB, in bytes.
type room [9 << 10]byte

// Grow gives the calling goroutine, which has just begun, a stack of 16 KiB: that is what
// encoding messages for the kernel comes to. The Go runtime would get there by copying what
// is there to a stack of double the size, three times.
func Grow() { grow(false) }

// grow has a frame that is never used: the Go runtime makes the stack that a function may need
// when the function is called.
//
//go:noinline
func grow(use bool) byte {
	if !use {
		return 0
	}
	var frame room
	return slice(&frame)[0]
}

//go:noinline
func slice(b *room) []byte { return b[:] }
