package connect

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// cgroupRoot opens the root of the control groups of version 2, of which every process is a
// part, where this process or the first one has them mounted. They are not mounted for it: a mount
// without the options of the one that is there (nsdelegate and others) takes those
// away from it, since the hierarchy has them in common (cgroup2 of mount(8)).
func cgroupRoot() (*os.File, error) {
	for _, process := range []string{"/proc/self", "/proc/1"} {
		if root := rootAsSeenBy(process); root != nil {
			return root, nil
		}
	}
	return nil, fmt.Errorf("no root of cgroup2 is mounted: %w", errdefs.ErrNotImplemented)
}

// rootAsSeenBy is nil where the process sees none, other mounts cover it, or it cannot be
// looked at.
func rootAsSeenBy(process string) *os.File {
	table, err := os.Open(process + "/mountinfo")
	if err != nil {
		return nil
	}
	defer table.Close()
	mounts, err := mountinfo.GetMountsFromReader(table, mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return nil
	}
	for _, m := range mounts {
		if m.Root != "/" {
			continue
		}
		root, err := os.Open(process + "/root" + m.Mountpoint)
		if err != nil {
			continue
		}
		var s unix.Statfs_t
		if err := unix.Fstatfs(int(root.Fd()), &s); err == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return root
		}
		root.Close()
	}
	return nil
}
