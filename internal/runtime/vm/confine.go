package vm

import (
	"context"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/vm/accel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
)

// What a machine may take of the host beside its guest's memory.
const (
	// overheadMemory is for QEMU itself, its devices' queues and the caches of its files.
	overheadMemory = 160 << 20
	// overheadPerCPU is for a processor's thread, and 1/overheadShare of the guest's
	// memory for the tables that map it.
	overheadPerCPU = 8 << 20
	overheadShare  = 256
	// maxThreads is for the pools of threads that read and write files.
	maxThreads = 256
)

// limits bound the machine's processes. The processors are not bounded yet: a guest
// boots at full speed, with nothing of the user's in it.
func limits(c qemu.Config, shares bool) cgroup.Limits {
	l := cgroup.Limits{
		MemoryBytes: c.MemoryBytes + c.MemoryBytes/overheadShare + overheadMemory + int64(c.CPUs)*overheadPerCPU,
		PIDs:        maxThreads + int64(c.CPUs),
	}
	if c.Accelerator == qemu.TCG {
		l.MemoryBytes += qemu.TranslationBytes
	}
	if shares {
		l.MemoryBytes += share.Memory
	}
	return l
}

// confine has the machine's process run as a user of its own, and all that is started
// for it within limits.
func (e *Engine) confine(c *qemu.Config) (err error) {
	if e.user, err = e.config.Users(e.host).Lend(); err != nil {
		return err
	}
	if c.Accelerator == qemu.KVM {
		if err := accel.Lend(e.user.ID, e.path("kvm")); err != nil {
			return err
		}
	}
	if err := e.group.Make(limits(*c, e.sharesHost())); err != nil {
		return err
	}
	c.User, c.Start = e.user.ID, e.group.StartHere
	return nil
}

// limitProcessors bounds what the machine's threads take together, from now on.
func (e *Engine) limitProcessors() error {
	return e.group.Set(cgroup.Limits{NanoCPUs: e.sandbox.Resources.NanoCPUs})
}

// unconfine takes away what confine has made, when the machine is gone.
func (e *Engine) unconfine(ctx context.Context) error {
	if err := e.group.Remove(ctx); err != nil || e.user == nil {
		return err
	}
	user := e.user
	e.user = nil
	return user.Close()
}
