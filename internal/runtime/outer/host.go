// Package outer is what a runtime helper, process 1 of a PID namespace, keeps of
// the host around it.
package outer

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Host is the host as a helper sees it that has moved in.
type Host struct {
	proc *os.File // the host's procfs
	pid  int      // the helper's own number there
}

// PID is the helper's number as the host sees it.
func (h *Host) PID() int { return h.pid }

// MoveIn makes the namespaces that the helper was started in usable: mounts no
// longer go out to the host, though those that the host removes go here too, and
// /proc is that of the helper's PID namespace.
func MoveIn() (*Host, error) {
	if os.Getpid() != 1 {
		return nil, fmt.Errorf("the runtime helper is process %d: want process 1 of a PID namespace of its own; it is started by patchbayd: %w",
			os.Getpid(), errdefs.ErrFailedPrecondition)
	}
	fd, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc: %w", err)
	}
	h := &Host{proc: os.NewFile(uintptr(fd), "/proc of the host")}
	buf := make([]byte, 32)
	n, err := unix.Readlinkat(fd, "self", buf)
	if err != nil {
		return nil, fmt.Errorf("/proc of the host: %w", err)
	}
	if h.pid, err = strconv.Atoi(string(buf[:n])); err != nil {
		return nil, fmt.Errorf("/proc/self of the host: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount /proc: %w", err)
	}
	return h, nil
}

// OwnTemporary makes a directory the process's own for temporary files, which go with
// its mount namespace, however it ends.
func (h *Host) OwnTemporary(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID, "mode=711"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return os.Setenv("TMPDIR", dir)
}

// Users returns the ids that processes of the host act under. One that may not be
// traced counts as root's (proc(5)).
func (h *Host) Users() (map[uint32]bool, error) {
	fd, err := unix.Openat(int(h.proc.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/proc of the host: %w", err)
	}
	dir := os.NewFile(uintptr(fd), "/proc of the host")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]bool)
	for _, name := range names {
		var s unix.Stat_t
		if _, err := strconv.Atoi(name); err == nil && unix.Fstatat(fd, name, &s, 0) == nil {
			out[s.Uid] = true
		}
	}
	return out, nil
}

// ProcessID returns the number that the host knows a process by. The kernel says so
// in the description of an open pidfd (pidfd_open(2), proc(5)).
func (h *Host) ProcessID(pid int) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	fd, err := unix.Openat(int(h.proc.Fd()), fmt.Sprintf("self/fdinfo/%d", pidfd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "fdinfo")
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "Pid:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("process %d: the host's /proc does not tell its number", pid)
}
