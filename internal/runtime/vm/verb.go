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
	"patchbay.dev/patchbay/resource"
)

// KernelDirVariable names the directory of the kernel that machines boot.
const KernelDirVariable = "PATCHBAY_KERNEL_DIR"

// AgentName is the name of the guest's agent, which is beside the runtime's program.
const AgentName = "patchbay-guest"

// Strategies are the strategies that a machine's interfaces can be made by.
func Strategies() []string {
	return []string{resource.StrategyBridgePort, resource.StrategyMacvlan, resource.StrategyTapStream}
}

// Verb does what the runtime's program is asked for beside being a helper.
func Verb(ctx context.Context, out io.Writer, kernelDir string, args []string) error {
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "cleanup":
		return cleanUp(ctx, os.Getenv(sandbox.IDVariable))
	case "check":
		return json.NewEncoder(out).Encode(map[string]any{"checks": checks(ctx, kernelDir)})
	case "kernel status":
		k, err := kernel.Load(kernelDir)
		return answer(out, k, err)
	case "kernel set":
		k, err := setKernel(ctx, kernelDir, args[2:])
		return answer(out, k, err)
	}
	return fmt.Errorf("arguments %q: want none, cleanup, check, kernel status or kernel set: %w", args, errdefs.ErrInvalidArgument)
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

// setKernel takes the path of an image and the directory of its modules, or
// "--debian" for the kernel of Debian's cloud images.
func setKernel(ctx context.Context, dir string, args []string) (kernel.Kernel, error) {
	if dir == "" {
		return kernel.Kernel{}, fmt.Errorf("%s is not set: this program is started by patchbayd: %w", KernelDirVariable, errdefs.ErrFailedPrecondition)
	}
	switch {
	case len(args) == 1 && args[0] == "--debian":
		return kernel.SetDebian(ctx, dir)
	case len(args) == 1:
		return kernel.Set(dir, args[0], "")
	case len(args) == 2:
		return kernel.Set(dir, args[0], args[1])
	}
	return kernel.Kernel{}, fmt.Errorf("want the path of a kernel, and perhaps that of its modules: %w", errdefs.ErrInvalidArgument)
}

// answer tells the daemon a kernel, or in words for the user why there is none.
func answer(out io.Writer, k kernel.Kernel, err error) error {
	var a struct {
		Kernel kernel.Kernel `json:"kernel"`
		Fault  string        `json:"fault,omitempty"`
	}
	if a.Kernel = k; err != nil {
		a.Fault = err.Error()
	}
	return json.NewEncoder(out).Encode(a)
}

// Check is one thing that this runtime needs of the host.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what there is, or what is missing
}

func checks(ctx context.Context, kernelDir string) []Check {
	return []Check{
		checkProgram(ctx, "qemu", qemu.Binary, "qemu-system-x86"),
		checkProgram(ctx, "erofs", "mkfs.erofs", "erofs-utils"),
		checkShares(ctx),
		checkKernel(kernelDir),
		checkTap(),
	}
}

func checkProgram(ctx context.Context, name, program, pkg string) Check {
	path, err := exec.LookPath(program)
	if err != nil {
		return Check{Name: name, Detail: fmt.Sprintf("%s is not installed (Debian: %s)", program, pkg)}
	}
	version, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return Check{Name: name, Detail: fmt.Sprintf("%s --version: %v", path, err)}
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return Check{Name: name, OK: true, Detail: fmt.Sprintf("%s at %s", strings.TrimSpace(first), path)}
}

func checkShares(ctx context.Context) Check {
	p, err := share.Find(ctx)
	if err != nil {
		return Check{Name: "virtiofs", Detail: err.Error()}
	}
	return Check{Name: "virtiofs", OK: true, Detail: fmt.Sprintf("%s at %s", p.Version, p.Path)}
}

func checkKernel(dir string) Check {
	k, err := kernel.Load(dir)
	if err != nil {
		return Check{Name: "kernel", Detail: err.Error()}
	}
	return Check{Name: "kernel", OK: true, Detail: fmt.Sprintf("%s from %s", k.Release, k.Source)}
}

func checkTap() Check {
	f, err := os.OpenFile(filepath.Join("/dev", "net", "tun"), os.O_RDWR, 0)
	if err != nil {
		return Check{Name: "tap", Detail: fmt.Sprintf("%v: load the module tun", err)}
	}
	f.Close()
	return Check{Name: "tap", OK: true, Detail: "available"}
}
