package vm

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/control"
	"patchbay.dev/patchbay/internal/runtime/vm/image"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/runtime/vm/template"
	"patchbay.dev/patchbay/internal/wire"
)

const (
	// restoreTimeout bounds how long a guest may take that goes on from a template
	// until its agent answers, and again until it has made its file system; then another
	// one is booted. Each takes some 100 ms.
	restoreTimeout = 5 * time.Second
	// emulatedRestoreTimeout is that of a guest in software, whose host may have much
	// else to do.
	emulatedRestoreTimeout = 20 * time.Second
	// entropyBytes is how much of the host's randomness a guest begins with.
	entropyBytes = 64
)

// boot starts the machine, from a template if there is one, and has its agent make the root
// file system.
func (e *Engine) boot(ctx context.Context) (err error) {
	config, files, err := e.machineConfig(ctx)
	defer files.close()
	if err != nil {
		return err
	}
	if err := e.chooseType(ctx, config, files); err != nil {
		return err
	}
	chooser := control.Chooser{Wish: e.config.Machines.Channel, Kernel: config.Booted, Open: control.Open}
	restored, errand, err := e.restore(ctx, config, chooser)
	if err != nil {
		return err
	}
	e.status.Template = restored
	if !restored {
		way, err := chooser.Choose()
		if err != nil {
			return err
		}
		limit := e.config.Machines.BootTimeout
		if err := e.launch(ctx, config.Config, way, limit, bare.NoAnswer(limit)); err != nil {
			return err
		}
		if err := e.settle(ctx, limit, bare.NoAnswer(limit)); err != nil {
			return e.explain(err)
		}
		e.errand = errand
	}
	go e.streams.Accept(e.session)
	return nil
}

// settle has the agent make of the guest what it is to be. An emulated guest that goes on
// from a template may answer first and then stand still for ever, with locked processors.
func (e *Engine) settle(ctx context.Context, limit time.Duration, late error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	e.calls = rpc.DialBy(func(context.Context) (net.Conn, error) { return channel.Call(e.session) })
	e.guest = guestv1connect.NewGuestServiceClient(e.calls.Client)
	if _, err := e.guest.Configure(ctx, e.configuration()); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}

// restore has the machine go on from a template and reports whether it does, and if
// not, with what this program makes one. A template that fails is not used again.
func (e *Engine) restore(ctx context.Context, m *bare.Machine, chooser control.Chooser) (restored bool, errand []string, err error) {
	if root, err := m.Disks[bare.RootDisk].File.Stat(); err != nil || root.Size() != image.Size || m.MicroVM || !e.config.Machines.Templates {
		return false, nil, nil
	}
	shares := m.Shares
	m.Shares = nil // no template has any
	defer func() { m.Shares = shares }()
	key, err := m.Key()
	if err != nil {
		return false, nil, nil
	}
	templates := e.config.Source.Templates()
	defer func() {
		if !restored && templates.Wanted(key) {
			errand = site.WarmInBackground(e.sandbox.Resources)
		}
	}()
	t, err := templates.Open(key)
	if err != nil {
		return false, nil, nil
	}
	defer t.Close()
	way, err := chooser.Choose()
	if err != nil {
		return false, nil, err
	}
	fault := e.goOn(ctx, m, way, t, shares)
	if fault == nil {
		return true, nil, nil
	}
	if ctx.Err() == nil {
		slog.Warn("a virtual machine does not go on from its template, which is given up; it boots", "error", errors.Join(fault, templates.Drop(t)))
	}
	return false, nil, nil
}

// goOn has the machine go on from a template. What the host shares is plugged in then:
// its daemon has to see the machine's memory, which is a copy for that.
func (e *Engine) goOn(ctx context.Context, m *bare.Machine, way *control.Way, t *template.Template, shares []qemu.Share) error {
	c := m.Config
	c.Kernel, c.Memory, c.Saved = m.Stub, t.Memory, t.Saved
	if len(shares) > 0 {
		memory, err := t.Copy()
		if err != nil {
			way.Close()
			return err
		}
		defer memory.Close()
		c.Memory, c.Shared = memory, true
	}
	limit := restoreTimeout
	if c.Accelerator == qemu.TCG {
		limit = emulatedRestoreTimeout
	}
	late := notRestored(limit)
	if err := e.launch(ctx, c, way, limit, late); err != nil {
		return err
	}
	err := e.plugShares(ctx, shares)
	if err == nil {
		err = e.settle(ctx, limit, late)
	}
	if err != nil {
		err = e.explain(err)
		e.machine.Kill()
		return errors.Join(err, e.session.Close())
	}
	return nil
}

func (e *Engine) plugShares(ctx context.Context, shares []qemu.Share) error {
	for _, s := range shares {
		if err := e.machine.PlugShare(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Errand implements sandbox.Errander: where a machine had to boot the next one goes on
// from one that is booted for that.
func (e *Engine) Errand() []string { return e.errand }

func notRestored(limit time.Duration) error {
	return fmt.Errorf("the agent does not answer within %v: %w", limit, errdefs.ErrUnavailable)
}

// launch starts the machine and waits for its agent, each within a limit, the latter with
// bare.Patience. The way is closed.
func (e *Engine) launch(ctx context.Context, c qemu.Config, way *control.Way, limit time.Duration, late error) (err error) {
	defer way.Close()
	c.Sockets = way.Sockets()
	starting, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	machine, err := qemu.Start(starting, c)
	if err != nil {
		return cmp.Or(context.Cause(starting), e.blameShares(err))
	}
	e.machine = machine
	ctx, answered := bare.Patience(ctx, limit, machine.ProcessorTime, late)
	defer answered()
	if e.server != nil {
		go e.watchShares(machine)
	}
	if e.session, e.status.Channel, err = way.Connect(ctx, machine.Agent()); err != nil {
		defer machine.Kill()
		return e.explain(cmp.Or(context.Cause(ctx), err))
	}
	return nil
}

// openFiles are files that are closed when the machine has them.
type openFiles struct {
	machine *bare.Machine
	all     []*os.File
}

func (o *openFiles) close() {
	if o.machine != nil {
		o.machine.Close()
	}
	for _, f := range o.all {
		_ = f.Close()
	}
}

// machineConfig opens all that the machine is made of.
func (e *Engine) machineConfig(ctx context.Context) (m *bare.Machine, files *openFiles, err error) {
	files = &openFiles{}
	accelerator, err := e.accelerator()
	if err != nil {
		return nil, files, err
	}
	m, err = e.config.Source.Open(accelerator, site.SizeFor(e.sandbox.Resources))
	if err != nil {
		return nil, files, err
	}
	files.machine = m
	if err := e.confine(&m.Config); err != nil {
		return nil, files, err
	}
	if m.Console, err = os.OpenFile(e.console, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600); err != nil {
		return nil, files, err
	}
	files.all = append(files.all, m.Console)
	root, err := image.Root(ctx, e.config.Source.Directory(), e.sandbox.RootFilesystem.LowerDirectories)
	if err != nil {
		return nil, files, err
	}
	files.all = append(files.all, root)
	m.Disks[bare.RootDisk].File = root
	if e.keepsWrites() {
		scratch, err := image.Scratch(ctx, e.scratchPath())
		if err != nil {
			return nil, files, err
		}
		files.all = append(files.all, scratch)
		m.Disks[bare.ScratchDisk].File = scratch
	}
	if e.sharesHost() {
		machine, err := e.serveShares(ctx)
		if err != nil {
			return nil, files, err
		}
		files.all = append(files.all, machine)
		m.Shares = []qemu.Share{{Tag: shareTag, Socket: machine}}
	}
	return m, files, nil
}

// keepsWrites says whether what the container writes outlives the machine. What was
// copied into it before its first start has to.
func (e *Engine) keepsWrites() bool {
	if !e.sandbox.RootFilesystem.Discardable || e.opened {
		return true
	}
	_, err := os.Stat(e.scratchPath())
	return err == nil
}

func (e *Engine) scratchPath() string {
	return filepath.Join(e.sandbox.RootFilesystem.UpperDirectory, "scratch.ext4")
}

// configuration is what the guest is told of itself.
func (e *Engine) configuration() *guestv1.ConfigureRequest {
	c := e.sandbox
	entropy := make([]byte, entropyBytes)
	_, _ = rand.Read(entropy) // never fails
	out := &guestv1.ConfigureRequest{
		Hostname: c.Hostname, UnixNanoseconds: time.Now().UnixNano(), Entropy: entropy,
		RootSerial: bare.RootSerial, ReadOnly: c.RootFilesystem.ReadOnly, Pids: c.Resources.PIDs,
	}
	for path, content := range spec.Files(c) {
		out.Files = append(out.Files, &guestv1.File{Path: path, Content: content})
	}
	out.Files = append(out.Files, &guestv1.File{Path: "/etc/machine-id", Content: machineID(c.ID)})
	if e.keepsWrites() {
		out.ScratchSerial = bare.ScratchSerial
	}
	if e.sharesHost() {
		out.Share = shareTag
	}
	return out
}

// machineID is the identity of a machine, the same at each start of its container and
// unlike that of any other (machine-id(5)).
func machineID(container string) []byte {
	sum := sha256.Sum256([]byte("machine-id of " + container))
	return fmt.Appendf(nil, "%x\n", sum[:16])
}

func (e *Engine) creation() *guestv1.CreateRequest {
	c := e.sandbox
	return &guestv1.CreateRequest{
		Process: wire.ProcessToProto(c.Process), Hostname: c.Hostname, Init: c.Init,
		CapabilitiesAdd: c.CapabilitiesAdd, CapabilitiesDrop: c.CapabilitiesDrop,
		Mounts: wire.MountsToProto(share.Shared(c.Mounts)),
	}
}
