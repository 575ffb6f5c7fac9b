// Package bare makes what all virtual machines have in common, before there is
// anything of a container in them, and saves such a machine for others to go on
// from.
package bare

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/cache"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/image"
	"patchbay.dev/patchbay/internal/runtime/vm/initramfs"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/template"
)

// The memory of a guest in bytes: with what it boots, and what it gets when nobody
// says.
const (
	MinMemory     = 128 << 20
	DefaultMemory = 512 << 20
)

// The serial numbers of the disks: that with the image, and that for what is
// written, which is empty where nothing is kept.
const (
	RootSerial    = "patchbay-root"
	ScratchSerial = "patchbay-scratch"
)

// The places of the disks in a machine's configuration.
const (
	RootDisk = iota
	ScratchDisk
)

// Source is where the parts of machines are.
type Source struct {
	CacheDir  string // shared with other helpers; made if it is not there
	KernelDir string // of the kernel that machines boot
	Agent     string // path of the program that is process 1 of the guest
}

// Directory is that of what all machines share: disks with images, initial file
// systems, user ids.
func (s Source) Directory() string { return filepath.Join(s.CacheDir, "vm") }

// Templates is where machines are saved.
func (s Source) Templates() template.Store {
	return template.Store{Dir: filepath.Join(s.Directory(), "templates")}
}

// Size is that of a machine.
type Size struct {
	MemoryBytes int64
	CPUs        int
}

// Machine is a machine that can be started, with two empty disks. Its files are
// open until it is closed.
type Machine struct {
	qemu.Config
	// Stub takes the place of the kernel in a machine that goes on from a template: QEMU
	// wants one, and would keep it in memory, but nobody starts it any more.
	Stub *os.File
	// Booted is the kernel of the guest.
	Booted kernel.Kernel
	agent  string // what tells it from all others
}

// Close closes the files of the configuration, but for those that the caller has
// put there.
func (m *Machine) Close() {
	_ = m.Kernel.Close() // only read
	_ = m.Initrd.Close()
	_ = m.Stub.Close()
}

// Open opens the parts of a machine.
func (s Source) Open(accelerator qemu.Accelerator, size Size) (*Machine, error) {
	if size.MemoryBytes < MinMemory {
		return nil, fmt.Errorf("memory %d MiB: a virtual machine needs at least %d: %w", size.MemoryBytes>>20, MinMemory>>20, errdefs.ErrInvalidArgument)
	}
	k, err := kernel.Load(s.KernelDir)
	if err != nil {
		return nil, err
	}
	agent, err := template.Program(s.Agent)
	if err != nil {
		return nil, fmt.Errorf("agent of the guest: %w", err)
	}
	bzImage, err := os.Open(k.Image())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(agent))
	initrd, err := s.initrd(k, hex.EncodeToString(sum[:8]))
	if err != nil {
		return nil, errors.Join(err, bzImage.Close())
	}
	stub, err := s.stub(k)
	if err != nil {
		return nil, errors.Join(err, bzImage.Close(), initrd.Close())
	}
	return &Machine{Booted: k, agent: agent, Stub: stub, Config: qemu.Config{
		Accelerator: accelerator, MemoryBytes: size.MemoryBytes &^ (1<<20 - 1), CPUs: size.CPUs, Agent: channel.PortName,
		Kernel: bzImage, Initrd: initrd, KernelArguments: early.Arguments(drivers(k, early.DriverPanic)),
		Disks: []qemu.Disk{
			RootDisk:    {Size: image.Size, Serial: RootSerial, ReadOnly: true},
			ScratchDisk: {Size: image.Size, Serial: ScratchSerial},
		},
	}}, nil
}

// drivers are those of wanted ones that a kernel has.
func drivers(k kernel.Kernel, wanted ...string) []string {
	return slices.DeleteFunc(wanted, func(driver string) bool { return !k.Has(driver) })
}

// stubBytes are the header of a bootable image and a little more (The Linux/x86 Boot
// Protocol: at most 64 sectors of setup code).
const stubBytes = 36 << 10

// stub returns the beginning of a kernel.
func (s Source) stub(k kernel.Kernel) (*os.File, error) {
	return cache.File(filepath.Join(s.Directory(), k.Digest[:16]+".stub"), func(fresh string) error {
		in, err := os.Open(k.Image())
		if err != nil {
			return err
		}
		defer in.Close()
		begin, err := io.ReadAll(io.LimitReader(in, stubBytes))
		if err != nil {
			return err
		}
		return os.WriteFile(fresh, begin, 0o644)
	})
}

// initrd returns the initial file system for a kernel and an agent, named by what tells it from others.
func (s Source) initrd(k kernel.Kernel, agent string) (*os.File, error) {
	path := filepath.Join(s.Directory(), k.Digest[:16]+"-"+agent+".cpio")
	return cache.File(path, func(fresh string) error {
		f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(initramfs.Write(f, k, s.Agent), f.Close())
	})
}

// Key is that of the template that the machine, as it is configured now, can go on
// from.
func (m *Machine) Key() (template.Key, error) {
	host, err := template.ThisHost()
	if err != nil {
		return template.Key{}, err
	}
	program, err := template.Program(qemu.Binary)
	if err != nil {
		return template.Key{}, err
	}
	return template.Key{
		Host: host, QEMU: program, Kernel: m.Booted.Digest, Agent: m.agent, Machine: m.Class(),
		Accelerator: string(m.Accelerator), MemoryBytes: m.MemoryBytes, CPUs: m.CPUs,
	}, nil
}

// Save boots the machine, saves it as a template when its agent waits for the host,
// and ends it; where there is a template already it does nothing. The guest's
// console goes to the file of the configuration. The guest must have answered within a
// limit, with Patience. It tells its steps.
func (s Source) Save(ctx context.Context, m *Machine, limit time.Duration, step func(string)) (template.Info, error) {
	key, err := m.Key()
	if err != nil {
		return template.Info{}, err
	}
	return s.Templates().Make(key, func(memory *os.File, saved io.Writer) error {
		config := m.Config
		config.Memory = memory
		step(fmt.Sprintf("boot a machine with %d MiB and %d processors by %s", m.MemoryBytes>>20, m.CPUs, m.Accelerator))
		machine, err := qemu.Start(ctx, config)
		if err != nil {
			return err
		}
		defer machine.Kill()
		waiting, cancel := Patience(ctx, limit, machine.ProcessorTime, NoAnswer(limit))
		defer cancel()
		if _, err := channel.Greet(waiting, machine.Agent()); err != nil {
			return cmp.Or(context.Cause(waiting), err)
		}
		step("save it")
		return machine.Save(ctx, saved)
	})
}

// NoAnswer is what is wrong with a guest that runs and has said nothing for as long as
// it may.
func NoAnswer(limit time.Duration) error {
	return fmt.Errorf("virtual machine: the guest does not answer within %v (vm.boot-timeout): %w", limit, errdefs.ErrUnavailable)
}
