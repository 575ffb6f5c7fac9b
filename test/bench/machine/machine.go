// Package machine tells on which machine something was measured.
package machine

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Load is the load average of the last minute.
func Load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(content), " ")
	return first
}

// Release is that of the kernel.
func Release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// Describe is one line: processors, memory, kernel, distribution, and the file
// system that a directory is on.
func Describe(directory string) string {
	memory := "unknown memory"
	if kilobytes, err := strconv.ParseInt(strings.TrimSuffix(value("/proc/meminfo", "MemTotal:"), " kB"), 10, 64); err == nil {
		memory = fmt.Sprintf("%.0f GiB of memory", float64(kilobytes)/(1<<20))
	}
	model := strings.TrimLeft(value("/proc/cpuinfo", "model name"), ": \t")
	if model == "" {
		model = runtime.GOARCH
	}
	system := strings.Trim(value("/etc/os-release", "PRETTY_NAME="), `"`)
	return fmt.Sprintf("%d processors (%s), %s, Linux %s, %s, state on %s", runtime.NumCPU(), model, memory, Release(), system, fileSystem(directory))
}

// value is what follows a key at the start of a line of a file; "" where there is
// none.
func value(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func fileSystem(directory string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(directory, &s); err != nil {
		return "an unknown file system"
	}
	for magic, name := range map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	} {
		if s.Type == magic {
			return name
		}
	}
	return fmt.Sprintf("file system %#x", s.Type)
}
