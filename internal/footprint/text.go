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

// constants are the parts of the program that are as they are in its file. They are
// where they were when the process began; empty where /proc does not tell.
var constants = sync.OnceValue(func() []mapping {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	return unwritten(string(maps))
})

// unwritten finds in /proc/PID/smaps (proc_pid_smaps(5)) the parts of files that are
// private, that nobody may write to, and of which nothing has been written: what a
// dynamic linker has changed before it took the right to, would be lost.
func unwritten(smaps string) (all []mapping) {
	var last mapping
	var candidate bool
	for line := range strings.Lines(smaps) {
		if key, _, _ := strings.Cut(line, " "); !strings.HasSuffix(key, ":") {
			last, candidate = constant(line)
			continue
		}
		if value, ok := strings.CutPrefix(line, "Anonymous:"); ok && candidate && strings.TrimSpace(value) == "0 kB" {
			all = append(all, last)
		}
	}
	return all
}

// constant tells where the first line of a mapping has a part of a file that is
// private and that nobody may write to.
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
