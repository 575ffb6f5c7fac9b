// Package verbs is what the runtime's program does beside being a helper: it says what
// there is on the host, keeps the kernel of machines, saves machines for others to
// go on from, and removes what a killed helper left.
package verbs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/control"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/wire"
)

// Verbs are those of a site.
type Verbs struct{ site.Site }

// Run does what the program's arguments ask for.
func (v Verbs) Run(ctx context.Context, out io.Writer, args []string) error {
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "cleanup":
		return cleanUp(ctx, os.Getenv(sandbox.IDVariable))
	case "check":
		return json.NewEncoder(out).Encode(map[string]any{"checks": v.checks(ctx)})
	case "kernel status":
		return v.kernelStatus(out)
	case "kernel set":
		return kernelSet(ctx, out, v.Source, args[2:])
	case "kernel warm":
		return v.kernelWarm(ctx, out, args[2:])
	case "kernel try":
		return v.kernelTry(ctx, out)
	}
	return fmt.Errorf("arguments %q: want none, cleanup, check, or kernel with status, set, warm or try: %w", args, errdefs.ErrInvalidArgument)
}

// cleanUp removes what a helper that was killed can leave on the host: all else that
// a machine is made of goes with the helper's namespaces.
func cleanUp(ctx context.Context, id string) error {
	group, err := cgroup.Of(id)
	if err != nil {
		return err
	}
	return errors.Join(group.Remove(ctx), outer.RemoveRates(id))
}

// Check is one thing that this runtime needs of the host.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what there is, or what is missing
}

func (v Verbs) checks(ctx context.Context) []Check {
	return []Check{
		checkProgram(ctx, "qemu", qemu.Binary, "qemu-system-x86"),
		checkProgram(ctx, "erofs", "mkfs.erofs", "erofs-utils"),
		checkShares(ctx),
		checkKernel(v.Source.KernelDir),
		v.checkAccelerator(),
		v.checkChannel(),
		checkTap(),
	}
}

func checkProgram(ctx context.Context, name, program, pkg string) Check {
	path, err := exec.LookPath(program)
	if err != nil {
		return Check{Name: name, Detail: fmt.Sprintf("%s is not installed (Debian: %s)", program, pkg)}
	}
	version, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil && len(version) == 0 { // that of erofs-utils 1.5 tells its version and fails
		return Check{Name: name, Detail: fmt.Sprintf("%s --version: %v", path, err)}
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return Check{Name: name, OK: true, Detail: fmt.Sprintf("%s at %s", strings.TrimSpace(first), path)}
}

func checkShares(ctx context.Context) Check {
	p, err := share.Find(ctx)
	if err != nil {
		return Check{Name: "virtiofs", Detail: wire.Text(err)}
	}
	return Check{Name: "virtiofs", OK: true, Detail: fmt.Sprintf("%s at %s", p.Version, p.Path)}
}

func checkKernel(dir string) Check {
	k, err := kernel.Load(dir)
	if err != nil {
		return Check{Name: "kernel", Detail: wire.Text(err)}
	}
	return Check{Name: "kernel", OK: true, Detail: fmt.Sprintf("%s from %s", k.Release, k.Source)}
}

// checkAccelerator wants KVM, unless the configuration does not.
func (v Verbs) checkAccelerator() Check {
	k, err := kernel.Load(v.Source.KernelDir)
	if err != nil {
		return Check{Name: "accelerator", Detail: "not known before there is a kernel for virtual machines"}
	}
	verdict := v.Known(k)
	return Check{Name: "accelerator", OK: verdict.Accelerator != "" && !verdict.Emulated(), Detail: verdict.String()}
}

// checkChannel says by which way the next machine is spoken to.
func (v Verbs) checkChannel() Check {
	k, err := kernel.Load(v.Source.KernelDir)
	if err != nil {
		return Check{Name: "channel", Detail: "not known before there is a kernel for virtual machines"}
	}
	way, err := control.Chooser{Wish: v.Machines.Channel, Kernel: k, Open: control.Open}.Choose()
	if err != nil {
		return Check{Name: "channel", Detail: wire.Text(err)}
	}
	defer way.Close()
	return Check{Name: "channel", OK: true, Detail: way.String()}
}

func checkTap() Check {
	f, err := os.OpenFile(filepath.Join("/dev", "net", "tun"), os.O_RDWR, 0)
	if err != nil {
		return Check{Name: "tap", Detail: fmt.Sprintf("%v: load the module tun", err)}
	}
	f.Close()
	return Check{Name: "tap", OK: true, Detail: "available"}
}
