package oci

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/oci/program"
)

// Check is one thing that this runtime needs of the host.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what there is, or what is missing
}

// Checks says which OCI runtime would be used and why, and whether the host has
// all that is needed. It is called outside of a helper.
func Checks(ctx context.Context) []Check {
	return []Check{checkProgram(ctx), checkCgroups(), checkOverlay(), checkSeccomp()}
}

func checkProgram(ctx context.Context) Check {
	c := Check{Name: "oci runtime"}
	path, err := program.Find()
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	version, err := program.Version(ctx, path)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	c.OK = true
	reason := "the first of crun and runc that is installed"
	if os.Getenv(program.Variable) != "" {
		reason = "chosen by " + program.Variable
	}
	if cgroup.CurrentMode() == cgroup.Hybrid && strings.HasPrefix(filepath.Base(path), "crun") {
		reason += "; the helper hides the cgroup v2 hierarchy from it, which it refuses beside v1"
	}
	c.Detail = fmt.Sprintf("%s at %s (%s)", version, path, reason)
	return c
}

func checkCgroups() Check {
	mode := cgroup.CurrentMode()
	if mode == cgroup.None {
		return Check{Name: "cgroups", Detail: "not mounted at /sys/fs/cgroup: resource limits need them"}
	}
	return Check{Name: "cgroups", OK: true, Detail: string(mode)}
}

func checkOverlay() Check {
	c := Check{Name: "overlayfs"}
	data, err := os.ReadFile("/proc/filesystems")
	c.OK = err == nil && strings.Contains(string(data), "\toverlay\n")
	if !c.OK { // not loaded yet, perhaps
		release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
		modules, _ := filepath.Glob(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), "kernel/fs/overlayfs/overlay.ko*"))
		c.OK = len(modules) > 0
	}
	c.Detail = "available"
	if !c.OK {
		c.Detail = cmp.Or(errorText(err), "not in this kernel: load the module overlay")
	}
	return c
}

func checkSeccomp() Check {
	_, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return Check{Name: "seccomp", Detail: "not in this kernel (CONFIG_SECCOMP_FILTER): containers run without system call filter are refused by the oci runtime"}
	}
	return Check{Name: "seccomp", OK: true, Detail: "available"}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
