package vm

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

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// KernelDirVariable names the directory of the kernel that machines boot.
const KernelDirVariable = "PATCHBAY_KERNEL_DIR"

// AgentName is the name of the guest's agent, which is beside the runtime's program.
const AgentName = "patchbay-guest"

// Strategies are the strategies that a machine's interfaces can be made by.
func Strategies() []string {
	return []string{resource.StrategyBridgePort, resource.StrategyMacvlan, resource.StrategyTapStream, resource.StrategyDelegated}
}

// Verb does what the runtime's program is asked for beside being a helper.
func (c Config) Verb(ctx context.Context, out io.Writer, args []string) error {
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "cleanup":
		return cleanUp(ctx, os.Getenv(sandbox.IDVariable))
	case "check":
		return json.NewEncoder(out).Encode(map[string]any{"checks": c.checks(ctx)})
	case "kernel status":
		return c.kernelStatus(out)
	case "kernel set":
		return kernelSet(ctx, out, c.Source, args[2:])
	case "kernel warm":
		return c.kernelWarm(ctx, out, args[2:])
	case "kernel try":
		return c.kernelTry(ctx, out)
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

// Machines is how the configuration wants machines to be run, as the daemon tells
// this program.
func Machines() (resource.VirtualMachines, error) {
	machines := resource.DefaultVirtualMachines()
	text := os.Getenv(layout.VirtualMachinesVariable)
	if text == "" {
		return machines, nil
	}
	if err := json.Unmarshal([]byte(text), &machines); err != nil {
		return machines, fmt.Errorf("%s=%q: %w: %w", layout.VirtualMachinesVariable, text, errdefs.ErrInvalidArgument, err)
	}
	return machines, nil
}

// Check is one thing that this runtime needs of the host.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what there is, or what is missing
}

func (c Config) checks(ctx context.Context) []Check {
	return []Check{
		checkProgram(ctx, "qemu", qemu.Binary, "qemu-system-x86"),
		checkProgram(ctx, "erofs", "mkfs.erofs", "erofs-utils"),
		checkShares(ctx),
		checkKernel(c.Source.KernelDir),
		c.checkAccelerator(),
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
func (c Config) checkAccelerator() Check {
	k, err := kernel.Load(c.Source.KernelDir)
	if err != nil {
		return Check{Name: "accelerator", Detail: "not known before there is a kernel for virtual machines"}
	}
	v := c.known(k)
	return Check{Name: "accelerator", OK: v.Accelerator != "" && !v.Emulated(), Detail: v.String()}
}

func checkTap() Check {
	f, err := os.OpenFile(filepath.Join("/dev", "net", "tun"), os.O_RDWR, 0)
	if err != nil {
		return Check{Name: "tap", Detail: fmt.Sprintf("%v: load the module tun", err)}
	}
	f.Close()
	return Check{Name: "tap", OK: true, Detail: "available"}
}
