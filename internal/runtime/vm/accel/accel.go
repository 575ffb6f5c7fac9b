// Package accel decides what executes the instructions of guests. That a host has
// KVM says little: there are hosts whose /dev/kvm opens and whose guests hang. So
// it is tried, by a machine that boots no more than kernel and agent, and what came
// of it is remembered until something changes that it depends on.
package accel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/resource"
)

// DefaultTimeout is how long a guest may take to answer when KVM is tried: it takes
// less than a second where KVM works.
const DefaultTimeout = 10 * time.Second

// Verdict is what executes guests, and why.
type Verdict struct {
	Accelerator qemu.Accelerator `json:"accelerator"`
	Reason      string           `json:"reason"` // in words for the user
	// Untried: KVM may work, nobody has tried yet.
	Untried bool `json:"untried,omitempty"`
	// Chosen: by the configuration, not by what the host can do.
	Chosen bool `json:"chosen,omitempty"`
}

// Emulated says that guests run in software though nobody wanted that.
func (v Verdict) Emulated() bool { return v.Accelerator == qemu.TCG && !v.Chosen }

// String is a line for the user.
func (v Verdict) String() string { return v.Status().String() }

// Status is the verdict as users are told.
func (v Verdict) Status() resource.AcceleratorStatus {
	return resource.AcceleratorStatus{Accelerator: resource.Accelerator(v.Accelerator), Reason: v.Reason}
}

// Chooser decides. All fields are required.
type Chooser struct {
	Wish resource.Accelerator
	// File keeps the verdict; its directory is made. Beside it is a lock, so that
	// only one process tries.
	File string
	// Key names all that the verdict depends on.
	Key func() (string, error)
	// Open reports whether the host offers KVM, else why not.
	Open func() error
	// Try boots a guest with KVM and returns when it has answered, or why it has
	// not. Before ctx ends; that end is a guest that hangs.
	Try func(ctx context.Context) error
	// Timeout bounds Try.
	Timeout time.Duration
}

// kept is the content of File.
type kept struct {
	Key     string  `json:"key"`
	Verdict Verdict `json:"verdict"`
}

// Known says what is known without trying anything. That KVM is wanted and the host
// does not offer it is errdefs.ErrFailedPrecondition.
func (c Chooser) Known() (Verdict, error) {
	v, _, err := c.known()
	return v, err
}

func (c Chooser) known() (v Verdict, key string, err error) {
	if c.Wish == resource.AcceleratorTCG {
		return Verdict{Accelerator: qemu.TCG, Reason: "chosen by vm.accelerator in the configuration", Chosen: true}, "", nil
	}
	if err := c.Open(); err != nil {
		if c.Wish == resource.AcceleratorKVM {
			return Verdict{}, "", fmt.Errorf("vm.accelerator is kvm, but %w: %w", err, errdefs.ErrFailedPrecondition)
		}
		return Verdict{Accelerator: qemu.TCG, Reason: err.Error()}, "", nil
	}
	if c.Wish == resource.AcceleratorKVM {
		return Verdict{Accelerator: qemu.KVM, Reason: "chosen by vm.accelerator in the configuration", Chosen: true}, "", nil
	}
	if key, err = c.Key(); err != nil {
		return Verdict{}, "", err
	}
	data, err := os.ReadFile(c.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Verdict{}, "", err
	}
	var k kept
	if err == nil && json.Unmarshal(data, &k) == nil && k.Key == key {
		return k.Verdict, key, nil
	}
	return Verdict{Accelerator: qemu.TCG, Reason: "whether guests boot with KVM has not been tried yet", Untried: true}, key, nil
}

// Decide is Known, after a trial if there was none yet. Only one process at a time
// tries, others wait for its verdict. When ctx ends before, nothing is decided.
func (c Chooser) Decide(ctx context.Context) (Verdict, error) {
	v, _, err := c.known()
	if err != nil || !v.Untried {
		return v, err
	}
	if err := os.MkdirAll(filepath.Dir(c.File), 0o755); err != nil {
		return v, err
	}
	unlock, err := lock(ctx, c.File+".lock")
	if err != nil {
		return v, err
	}
	defer unlock()
	v, key, err := c.known()
	if err != nil || !v.Untried {
		return v, err
	}
	v, err = c.try(ctx)
	if err != nil {
		return v, err
	}
	data, err := json.Marshal(kept{Key: key, Verdict: v})
	if err != nil {
		return v, err
	}
	return v, atomicfile.Write(c.File, append(data, '\n'), 0o644)
}

// try boots a guest with KVM.
func (c Chooser) try(ctx context.Context) (Verdict, error) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.Try(limited)
	switch {
	case err == nil:
		return Verdict{Accelerator: qemu.KVM, Reason: fmt.Sprintf("a guest answered %.1f s after its start", time.Since(began).Seconds())}, nil
	case ctx.Err() != nil:
		return Verdict{}, ctx.Err()
	case limited.Err() != nil:
		return Verdict{Accelerator: qemu.TCG, Reason: fmt.Sprintf("/dev/kvm opens, but a guest did not answer within %v", c.Timeout)}, nil
	}
	return Verdict{Accelerator: qemu.TCG, Reason: fmt.Sprintf("/dev/kvm opens, but a guest does not boot: %v", err)}, nil
}

// lockInterval is how often a lock is tried that somebody has: flock(2) cannot be
// waited for beside a context.
const lockInterval = 100 * time.Millisecond

// lock waits for a lock that ends with its holder.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
