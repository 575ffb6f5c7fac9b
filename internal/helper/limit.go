package helper

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/containerd/errdefs"
)

// limits are those of the host that a start can meet: what is meant by an error of
// the kernel, and what raises the limit.
var limits = []struct {
	errno syscall.Errno
	text  string
}{
	{syscall.EAGAIN, "the host allows no further process: raise kernel.pid_max and kernel.threads-max (sysctl), or TasksMax of the unit that patchbayd runs in"},
	{syscall.ENOMEM, "the host has no memory, or no process id (kernel.pid_max), for a further process"},
	{syscall.EMFILE, "patchbayd may open no further file: raise LimitNOFILE of the unit that it runs in"},
	{syscall.ENFILE, "the host allows no further open file: raise fs.file-max (sysctl)"},
	{syscall.ENOSPC, "the host allows no further namespace, or its disk is full: raise user.max_pid_namespaces and user.max_mnt_namespaces (sysctl)"},
}

// startFault says why a helper cannot be started. It tells a host that is out of
// something from a plugin that is broken.
func startFault(name string, err error) error {
	for _, l := range limits {
		if errors.Is(err, l.errno) {
			return fmt.Errorf("start %s: %s: %w: %w", name, l.text, errdefs.ErrResourceExhausted, err)
		}
	}
	return fmt.Errorf("start %s: %w: %w", name, err, errdefs.ErrFailedPrecondition)
}
