package footprint

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// unmapProgram takes the program's code and constants out of the page tables. The
// kernel maps 64 KiB around each page that is used, so that a process which has begun
// has nearly all of its program mapped, and uses some of it again. What it uses is
// mapped anew, without I/O as long as the kernel has it; what it does not use is
// nobody's, and goes first where memory is short.
func unmapProgram() { adviseConstants(unix.MADV_DONTNEED) }

// adviseConstants gives the kernel an advice about all constants. One that it does
// not take changes nothing.
func adviseConstants(advice uintptr) {
	for _, c := range constants() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, c.from, c.to-c.from, advice)
	}
}

// mapping is a part of the address space.
type mapping struct{ from, to uintptr }

// constants are the parts of the program that stay as they are in its file. They are
// where they were when the process began; empty where /proc does not tell.
var constants = sync.OnceValue(func() (all []mapping) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(maps)) {
		if m, ok := constant(line); ok {
			all = append(all, m)
		}
	}
	return all
})

// constant tells where a line of /proc/PID/maps (proc_pid_maps(5)) has a part of a
// file that is private and that nobody can have written to.
func constant(line string) (m mapping, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || (fields[1] != "r-xp" && fields[1] != "r--p") {
		return mapping{}, false
	}
	first, last, _ := strings.Cut(fields[0], "-")
	begin, err1 := strconv.ParseUint(first, 16, 64)
	end, err2 := strconv.ParseUint(last, 16, 64)
	return mapping{uintptr(begin), uintptr(end)}, err1 == nil && err2 == nil
}
