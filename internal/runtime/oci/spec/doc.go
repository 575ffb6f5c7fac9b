// Package spec says what a container is in the words of the OCI runtime
// specification: the defaults are those of other engines. It is pure: what has
// to be looked up is given to it.
package spec

import (
	"patchbay.dev/patchbay/internal/sandbox"
)

// Config is what a container's specification is made from.
type Config struct {
	Sandbox sandbox.Configuration
	User    User
	// RootDirectory is the path of the mounted root file system.
	RootDirectory string
	// NetworkNamespace is a path of the network namespace to join.
	NetworkNamespace string
	// CgroupPath is the path of the control group from the root of each
	// hierarchy.
	CgroupPath string
	// CgroupV2 says that the host has the one hierarchy of version 2; the
	// container then gets a cgroup namespace.
	CgroupV2 bool
	// AllCapabilities are those that can be given (AllCapabilities).
	AllCapabilities []string
	// OpenFiles is the hard limit of open files of the engine's own process,
	// which it cannot exceed everywhere.
	OpenFiles uint64
	// Files are the generated files, by target, e.g. /etc/hosts.
	Files map[string]string
	// InitBinary is the host path of the program that is process 1 with
	// Sandbox.Init.
	InitBinary string
}

// User is a process's user as numbers, and where it is at home.
type User struct {
	UID, GID   uint32
	Additional []uint32
	Home       string
}
