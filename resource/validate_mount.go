package resource

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Option words of mounts (mount(8)): those that every type takes, and those of
// one alone.
var (
	mountFlags = []string{
		"ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec",
		"noatime", "atime", "relatime", "norelatime", "strictatime", "nostrictatime", "nodiratime", "diratime",
		"sync", "async", "dirsync", "nosymfollow", "symfollow",
	}
	bindOptions  = []string{"bind", "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
	tmpfsOptions = []string{"size", "nr_inodes", "nr_blocks", "mode", "uid", "gid", "huge", "inode32", "inode64"}
	// nocopy leaves a fresh volume empty instead of filling it from the image.
	volumeOptions = []string{"nocopy"}
)

// MountOptions returns the option words that mounts of a type take; a word
// before "=" stands for the whole option.
func MountOptions(t MountType) []string {
	switch t {
	case MountBind:
		return slices.Concat(mountFlags, bindOptions)
	case MountTmpfs:
		return slices.Concat(mountFlags, tmpfsOptions)
	case MountVolume:
		return slices.Concat(mountFlags, volumeOptions)
	}
	return nil
}

func validateMounts(mounts []Mount) []error {
	var faults []error
	targets := map[string]bool{}
	for _, m := range mounts {
		faults = append(faults, m.faults()...)
		target := path.Clean(m.Target)
		if targets[target] {
			faults = append(faults, fmt.Errorf("mount %q: is the target of two mounts", target))
		}
		targets[target] = true
	}
	return faults
}

func (m Mount) faults() []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("mount %q: "+format, append([]any{m.Target}, args...)...))
	}
	switch {
	case !path.IsAbs(m.Target) || strings.ContainsRune(m.Target, 0):
		fault("want an absolute path in the container as its target")
	case path.Clean(m.Target) == "/":
		fault("want a target below the root")
	}
	switch m.Type {
	case MountBind:
		if !path.IsAbs(m.Source) || strings.ContainsRune(m.Source, 0) {
			fault("source %q: want an absolute path on the host", m.Source)
		}
	case MountTmpfs, MountVolume:
		if m.Source != "" {
			fault("source %q: a %s mount has none", m.Source, m.Type)
		}
	default:
		fault("type %q: want bind, tmpfs or volume", m.Type)
		return faults
	}
	accepted := MountOptions(m.Type)
	for _, o := range m.Options {
		word, _, _ := strings.Cut(o, "=")
		if !slices.Contains(accepted, word) || strings.Contains(o, ",") {
			fault("option %q: a %s mount takes %s", o, m.Type, strings.Join(accepted, ", "))
		}
	}
	return faults
}
