package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/timerslack"
)

// Limits bound what all processes of a group together may take; zero means
// unlimited.
type Limits struct {
	MemoryBytes int64
	NanoCPUs    int64 // 1e9 is one processor
	PIDs        int64 // threads count too
}

// The controllers that hold limits.
const (
	memoryController = "memory"
	cpuController    = "cpu"
	pidsController   = "pids"
)

var limiting = []string{memoryController, cpuController, pidsController}

// cpuPeriod is the time in microseconds over which the use of processors is
// averaged, the kernel's default.
const cpuPeriod = 100_000

// setting is a limit in one hierarchy: a file of each version and its content.
type setting struct {
	controller, v1, v2, value string
}

func (l Limits) settings() []setting {
	var out []setting
	if l.MemoryBytes != 0 {
		out = append(out, setting{memoryController, "memory.limit_in_bytes", "memory.max", strconv.FormatInt(l.MemoryBytes, 10)})
	}
	if l.PIDs != 0 {
		out = append(out, setting{pidsController, "pids.max", "pids.max", strconv.FormatInt(l.PIDs, 10)})
	}
	if l.NanoCPUs != 0 {
		quota := strconv.FormatInt(max(1000, l.NanoCPUs*cpuPeriod/1e9), 10) // the kernel takes no less
		out = append(out,
			setting{controller: cpuController, v1: "cpu.cfs_period_us", value: strconv.Itoa(cpuPeriod)},
			setting{controller: cpuController, v1: "cpu.cfs_quota_us", value: quota},
			setting{controller: cpuController, v2: "cpu.max", value: quota + " " + strconv.Itoa(cpuPeriod)})
	}
	return out
}

// Make makes the group, where the host has the controllers that hold limits, and
// sets its limits. A controller that the host lacks is
// errdefs.ErrFailedPrecondition.
func (g Group) Make(l Limits) error {
	var missing []string
	for _, c := range limiting {
		if _, ok := g.dirOf(c); !ok {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("control groups: the host has no controller %s below %s: %w", strings.Join(missing, ", "), root, errdefs.ErrFailedPrecondition)
	}
	if g.isV2() { // without a word of the parent its children have no controllers
		control := filepath.Join(filepath.Dir(g.dirs[""]), "cgroup.subtree_control")
		if err := os.WriteFile(control, []byte("+"+strings.Join(limiting, " +")), 0); err != nil {
			return fmt.Errorf("control groups: pass controllers on: %w: %w", errdefs.ErrFailedPrecondition, err)
		}
	}
	for _, c := range limiting {
		dir, _ := g.dirOf(c)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return g.Set(l)
}

// Set changes those limits of a group that are not zero.
func (g Group) Set(l Limits) error {
	for _, s := range l.settings() {
		dir, ok := g.dirOf(s.controller)
		if !ok {
			return fmt.Errorf("cgroup: no controller %s: %w", s.controller, errdefs.ErrFailedPrecondition)
		}
		name := s.v1
		if g.isV2() {
			name = s.v2
		}
		if name == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s.value), 0); err != nil {
			return fmt.Errorf("limit of cgroup: %s: %w", s.value, err)
		}
	}
	return nil
}

// isV2 says whether the controllers are in the one hierarchy of version 2: beside
// hierarchies of version 1 it has none that matter here.
func (g Group) isV2() bool {
	_, has := g.dirs[""]
	return has && len(g.dirs) == 1
}

// dirOf returns the directory of the group in the hierarchy of a controller.
func (g Group) dirOf(controller string) (string, bool) {
	if g.isV2() {
		dir := g.dirs[""]
		available, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "cgroup.controllers"))
		return dir, err == nil && slices.Contains(strings.Fields(string(available)), controller)
	}
	for options, dir := range g.dirs {
		if options != "" && hasController(options, controller) {
			return dir, true
		}
	}
	return "", false
}

// Start starts a command whose process is in the group from its first instruction
// on. The group must have been made.
func (g Group) Start(cmd *exec.Cmd) error {
	return onSideThread(func() error { return g.StartHere(cmd) })
}

// StartHere is Start from the calling thread, which the caller must be locked to and
// which must not be the process's first. It may leave it in the group when it fails.
func (g Group) StartHere(cmd *exec.Cmd) error {
	if g.isV2() {
		dir, err := os.Open(g.dirs[""])
		if err != nil {
			return err
		}
		defer dir.Close()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
		return timerslack.Usual(cmd.Start)
	}
	return g.startV1(cmd)
}

// startV1 moves the calling thread into the group, for the time of the fork: version
// 1 has threads in groups, and a process is born where the thread is that makes it.
func (g Group) startV1(cmd *exec.Cmd) (err error) {
	here, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return err
	}
	for _, c := range limiting {
		dir, ok := g.dirOf(c)
		if !ok {
			return fmt.Errorf("cgroup: no controller %s: %w", c, errdefs.ErrFailedPrecondition)
		}
		if err := enterV1(dir); err != nil {
			return err
		}
		home := filepath.Join(filepath.Dir(dir), pathOf(string(here), c))
		defer func() { err = errors.Join(err, enterV1(home)) }()
	}
	return timerslack.Usual(cmd.Start)
}

// enterV1 moves the calling thread into a group.
func enterV1(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0); err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	return nil
}

// pathOf returns the path of a group of version 1 by its controller, from the
// content of /proc/PID/cgroup (cgroups(7)).
func pathOf(content, controller string) string {
	for line := range strings.Lines(content) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 && hasController(fields[1], controller) {
			return fields[2]
		}
	}
	return "/"
}

// onSideThread calls a function on a thread that is not the process's first: the
// kernel takes that one's groups for those of all memory of the process.
func onSideThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends, wherever f left it
		if unix.Gettid() != os.Getpid() {
			done <- f()
			return
		}
		defer runtime.UnlockOSThread() // the first thread cannot end
		done <- onSideThread(f)
	}()
	return <-done
}
