package vm

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/image"
	"patchbay.dev/patchbay/internal/runtime/vm/initramfs"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// The serial numbers of the disks.
const (
	rootSerial    = "patchbay-root"
	scratchSerial = "patchbay-scratch"
)

const (
	// minMemory is with what a guest boots, defaultMemory what it gets when
	// nobody says.
	minMemory     = 128 << 20
	defaultMemory = 512 << 20
	// entropyBytes is how much of the host's randomness a guest begins with.
	entropyBytes = 64
)

// boot starts the machine and waits for its agent.
func (e *Engine) boot(ctx context.Context) (err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	config, files, err := e.machineConfig(ctx)
	defer files.close()
	if err != nil {
		return err
	}
	machine, err := qemu.Start(ctx, config)
	if err != nil {
		return e.blameShares(err)
	}
	e.machine = machine
	if e.server != nil {
		go e.watchShares()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.config.Machines.BootTimeout, e.noAnswer())
	defer cancel()
	if e.session, err = channel.Connect(ctx, machine.Agent()); err != nil {
		return errors.Join(cmp.Or(context.Cause(ctx), err), e.ending())
	}
	e.calls = rpc.DialBy(func(context.Context) (net.Conn, error) { return e.session.Open() })
	e.guest = guestv1connect.NewGuestServiceClient(e.calls.Client)
	go e.streams.accept(e.session)
	undo.Success()
	return nil
}

// noAnswer is what is wrong with a guest that runs and says nothing.
func (e *Engine) noAnswer() error {
	return fmt.Errorf("virtual machine: the guest does not answer within %v (vm.boot-timeout): %w", e.config.Machines.BootTimeout, errdefs.ErrUnavailable)
}

// openFiles are files that are closed when the machine has them.
type openFiles []*os.File

func (o *openFiles) add(f *os.File, err error) (*os.File, error) {
	if f != nil {
		*o = append(*o, f)
	}
	return f, err
}

func (o *openFiles) close() {
	for _, f := range *o {
		f.Close()
	}
}

// machineConfig opens all that the machine is made of.
func (e *Engine) machineConfig(ctx context.Context) (c qemu.Config, files *openFiles, err error) {
	files = &openFiles{}
	memory := cmp.Or(e.sandbox.Resources.MemoryBytes, defaultMemory)
	if memory < minMemory {
		return c, files, fmt.Errorf("memory %d MiB: a virtual machine needs at least %d: %w", memory>>20, minMemory>>20, errdefs.ErrInvalidArgument)
	}
	k, err := kernel.Load(e.config.KernelDir)
	if err != nil {
		return c, files, err
	}
	c = qemu.Config{MemoryBytes: memory &^ (1<<20 - 1), CPUs: processors(e.sandbox.Resources), Agent: channel.PortName}
	if c.Accelerator, err = e.accelerator(); err != nil {
		return c, files, err
	}
	if err := e.confine(&c); err != nil {
		return c, files, err
	}
	if c.Kernel, err = files.add(os.Open(k.Image())); err != nil {
		return c, files, err
	}
	if c.Initrd, err = files.add(e.initrd(k)); err != nil {
		return c, files, err
	}
	if c.Console, err = files.add(os.OpenFile(e.console, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)); err != nil {
		return c, files, err
	}
	root, err := files.add(image.Root(ctx, filepath.Join(e.config.CacheDir, "vm"), e.sandbox.RootFilesystem.LowerDirectories))
	if err != nil {
		return c, files, err
	}
	c.Disks = []qemu.Disk{{File: root, Serial: rootSerial, ReadOnly: true}}
	if e.keepsWrites() {
		scratch, err := files.add(image.Scratch(ctx, e.scratchPath()))
		if err != nil {
			return c, files, err
		}
		c.Disks = append(c.Disks, qemu.Disk{File: scratch, Serial: scratchSerial})
	}
	if e.sharesHost() {
		machine, err := files.add(e.serveShares(ctx))
		if err != nil {
			return c, files, err
		}
		c.Shares = []qemu.Share{{Tag: shareTag, Socket: machine}}
	}
	return c, files, nil
}

// keepsWrites says whether what the container writes outlives the machine.
func (e *Engine) keepsWrites() bool { return !e.sandbox.RootFilesystem.Discardable }

func (e *Engine) scratchPath() string {
	return filepath.Join(e.sandbox.RootFilesystem.UpperDirectory, "scratch.ext4")
}

// initrd returns the initial file system for a kernel and this build's agent.
func (e *Engine) initrd(k kernel.Kernel) (*os.File, error) {
	agent, err := digest(e.config.Agent)
	if err != nil {
		return nil, fmt.Errorf("agent of the guest: %w", err)
	}
	path := filepath.Join(e.config.CacheDir, "vm", k.Digest[:16]+"-"+agent[:16]+".cpio")
	return image.Cached(path, func(fresh string) error {
		f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(initramfs.Write(f, k, e.config.Agent), f.Close())
	})
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// processors is how many of them the guest sees: as many as its limit fills.
func processors(r resource.Resources) int {
	if r.NanoCPUs == 0 {
		return 1
	}
	return int((r.NanoCPUs + 1e9 - 1) / 1e9)
}

// configuration is what the guest is told of itself.
func (e *Engine) configuration() *guestv1.ConfigureRequest {
	c := e.sandbox
	entropy := make([]byte, entropyBytes)
	_, _ = rand.Read(entropy) // never fails
	out := &guestv1.ConfigureRequest{
		Hostname: c.Hostname, UnixNanoseconds: time.Now().UnixNano(), Entropy: entropy,
		RootSerial: rootSerial, ReadOnly: c.RootFilesystem.ReadOnly, Pids: c.Resources.PIDs,
	}
	for path, content := range spec.Files(c) {
		out.Files = append(out.Files, &guestv1.File{Path: path, Content: content})
	}
	if e.keepsWrites() {
		out.ScratchSerial = scratchSerial
	}
	if e.sharesHost() {
		out.Share = shareTag
	}
	return out
}

func (e *Engine) creation() *guestv1.CreateRequest {
	c := e.sandbox
	return &guestv1.CreateRequest{
		Process: wire.ProcessToProto(c.Process), Hostname: c.Hostname, Init: c.Init,
		CapabilitiesAdd: c.CapabilitiesAdd, CapabilitiesDrop: c.CapabilitiesDrop,
		Mounts: wire.MountsToProto(share.Shared(c.Mounts)),
	}
}

// accelerator is KVM where a guest is known to boot with it.
func (e *Engine) accelerator() (qemu.Accelerator, error) {
	return qemu.TCG, nil
}

// tailBytes bounds how much of a guest's console goes into an error.
const tailBytes = 1024

// tail returns the last lines of a console as one line.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	data = data[max(0, len(data)-tailBytes):]
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(data), ""), func(r rune) bool { return r == '\n' || r == '\r' })
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
