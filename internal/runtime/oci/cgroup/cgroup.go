// Package cgroup finds, watches and removes the control group of one container
// in every hierarchy of the host, of version 1 and 2 alike. The OCI runtime makes
// it and sets its limits.
package cgroup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	root    = "/sys/fs/cgroup"
	unified = root + "/unified"
)

// Mode is the way in which the host's hierarchies are mounted.
type Mode string

// The modes.
const (
	V1     Mode = "v1"     // one hierarchy for each controller
	V2     Mode = "v2"     // one for all
	Hybrid Mode = "hybrid" // v1, and a v2 one beside them
	None   Mode = "none"   // not mounted
)

// CurrentMode returns the mode of this mount namespace.
func CurrentMode() Mode {
	var s unix.Statfs_t
	if err := unix.Statfs(root, &s); err != nil {
		return None
	}
	if s.Type == unix.CGROUP2_SUPER_MAGIC {
		return V2
	}
	if err := unix.Statfs(unified, &s); err == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
		return Hybrid
	}
	if _, err := os.Stat(filepath.Join(root, "memory")); err != nil {
		return None
	}
	return V1
}

// HideUnified takes the v2 hierarchy of a hybrid host out of the calling
// process's mount namespace, which must be its own: crun refuses hybrid hosts,
// and all controllers that matter are in the v1 hierarchies there. What crun
// makes in the place of that hierarchy nevertheless, as plain files, goes with
// the namespace.
func HideUnified() error {
	switch CurrentMode() {
	case V2, None:
		return nil
	case V1:
	case Hybrid:
		if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("hide %s: %w", unified, err)
		}
	}
	err := unix.Mount("tmpfs", unified, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there is no such place on most hosts of version 1
		return fmt.Errorf("hide %s: %w", unified, err)
	}
	return nil
}

// Path is the path of a container's group from the root of each hierarchy. It has
// no parent of Patchbay's own: a shared parent could be removed by nobody
// without a race against the next container.
func Path(id string) string { return "/patchbay-" + id }

// Group is the control group of one container.
type Group struct {
	dirs map[string]string // by controller list, "" for v2
}

// Hierarchies are where the host's hierarchies are mounted.
type Hierarchies struct {
	mountpoints map[string]string // by controller list, "" for v2
}

// Find looks for the hierarchies of the calling process's mount namespace.
func Find() (Hierarchies, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return Hierarchies{}, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	h := Hierarchies{mountpoints: make(map[string]string)}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Mountpoint, root) {
			continue
		}
		key := ""
		if m.FSType == "cgroup" {
			key = m.VFSOptions
		}
		h.mountpoints[key] = m.Mountpoint
	}
	return h, nil
}

// Group returns the group of a container. It need not exist.
func (h Hierarchies) Group(id string) Group {
	g := Group{dirs: make(map[string]string, len(h.mountpoints))}
	for key, mountpoint := range h.mountpoints {
		g.dirs[key] = filepath.Join(mountpoint, Path(id))
	}
	return g
}

// Of returns the group of a container. It need not exist.
func Of(id string) (Group, error) {
	h, err := Find()
	return h.Group(id), err
}

// Processes returns the numbers of the group's processes as this process sees
// them.
func (g Group) Processes() ([]int, error) {
	seen := make(map[int]bool)
	var out []int
	for _, dir := range g.dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return ignoreGone(err)
			}
			data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			if err != nil {
				return ignoreGone(err)
			}
			for line := range strings.Lines(string(data)) {
				// 0 stands for a process outside of our PID namespace.
				if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					out = append(out, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("processes of cgroup %s: %w", dir, err)
		}
	}
	return out, nil
}

// ignoreGone turns errors of what has been removed meanwhile into nil.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// OOMKills returns how many processes the kernel has killed for the group's
// memory limit (memory.events, or memory.oom_control of version 1).
func (g Group) OOMKills() int {
	for controllers, dir := range g.dirs {
		name := "memory.events"
		if controllers != "" {
			if !hasController(controllers, "memory") {
				continue
			}
			name = "memory.oom_control"
		}
		if n, ok := counter(filepath.Join(dir, name), "oom_kill"); ok {
			return n
		}
	}
	return 0
}

func hasController(options, controller string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == controller {
			return true
		}
	}
	return false
}

// counter reads one line "key value" of a flat keyed file.
func counter(path, key string) (int, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), key+" "); ok {
			n, err := strconv.Atoi(value)
			return n, err == nil
		}
	}
	return 0, false
}

// Remove kills what is left in the group and removes it. A group that is not
// there is removed.
func (g Group) Remove(ctx context.Context) error {
	var errs []error
	for _, dir := range g.dirs {
		if err := g.remove(ctx, dir); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// remove tries again while the kernel still counts ended processes as members;
// version 1 has no event for the last one's leaving.
func (g Group) remove(ctx context.Context, dir string) error {
	for delay := time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		err := removeTree(dir)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		g.kill()
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

func (g Group) kill() {
	pids, _ := g.Processes()
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// removeTree removes a group and its children, deepest first; their files are
// no obstacle to rmdir(2).
func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		return ignoreGone(readErr)
	}
	children := false
	for _, e := range entries {
		if e.IsDir() {
			children = true
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if children {
		err = ignoreGone(unix.Rmdir(dir))
	}
	if err != nil {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
