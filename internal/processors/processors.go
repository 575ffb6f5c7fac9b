// Package processors says by how many processors a process works whose Go runtime has
// one to begin with (decision 0045).
//
// Whoever has one waits, when another goroutine is in a system call that takes long, until the Go runtime has noticed
// that: up to two milliseconds, as it looks after that by the clock.
package processors

import (
	"runtime"
	"sync"
)

var (
	mu     sync.Mutex
	spared int  // guarded by mu; calls of Spare that are not done
	all    bool // guarded by mu; All was called
)

// All has the process work by all processors from now on.
func All() {
	mu.Lock()
	defer mu.Unlock()
	all = true
	runtime.SetDefaultGOMAXPROCS()
}

// Spare has a process that works by one processor have a second one until done is called,
// once: for who starts a system call that takes long and has something to do meanwhile.
func Spare() (done func()) {
	mu.Lock()
	defer mu.Unlock()
	if all || spared == 0 && runtime.GOMAXPROCS(0) > 1 {
		return func() {}
	}
	spared++
	if spared == 1 {
		runtime.GOMAXPROCS(2)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		spared--
		if spared == 0 && !all {
			runtime.GOMAXPROCS(1)
		}
	}
}
