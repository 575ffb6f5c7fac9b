package system

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func memory() int64 {
	var i unix.Sysinfo_t
	if unix.Sysinfo(&i) != nil {
		return 0
	}
	return int64(i.Totalram) * int64(i.Unit)
}

// cgroupVersion returns "1", "2", or "hybrid" for version 1 with a version 2
// hierarchy beside it (cgroups(7)); empty if none is mounted.
func cgroupVersion(mount string) string {
	switch {
	case isCgroup2(mount):
		return "2"
	case isCgroup2(filepath.Join(mount, "unified")):
		return "hybrid"
	case isMounted(filepath.Join(mount, "memory")), isMounted(filepath.Join(mount, "cpu")):
		return "1"
	}
	return ""
}

func isCgroup2(path string) bool { return magic(path) == unix.CGROUP2_SUPER_MAGIC }
func isMounted(path string) bool { return magic(path) == unix.CGROUP_SUPER_MAGIC }

func magic(path string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) != nil {
		return 0
	}
	return fs.Type
}
