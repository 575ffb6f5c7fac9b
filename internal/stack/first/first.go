// Package first gives a program's first goroutine, which initializes its packages and runs
// main, a stack of 32 KiB before most of that. To import it is all that a program does.
//
// The Go runtime would get there by copying what is there to a stack of double the size,
// four times, and each size is made of memory that it lists in itself, so that the program
// has a page fault for each page of that. Packages are initialized in the order of their
// import paths as far as those that they import are: one that imports nothing comes before
// those of the standard library that take more of the stack.
package first

// room is the frame of a function that makes a stack of 32 KiB, in bytes.
type room [17 << 10]byte

var _ = grow(false)

// grow has a frame that is never used, like that of package stack.
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
