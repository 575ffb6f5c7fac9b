// Package site is what the virtual machines of an instance have in common on this
// host: where they come from, how the configuration wants them to be run, and what
// executes them.
package site

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/hostuser"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/resource"
)

// KernelDirVariable names the directory of the kernel that machines boot.
const KernelDirVariable = "PATCHBAY_KERNEL_DIR"

// AgentName is the name of the guest's agent, which is beside the runtime's program.
const AgentName = "patchbay-guest"

// Site is an instance on this host.
type Site struct {
	Source   bare.Source
	Machines resource.VirtualMachines
}

// Here is the site that the environment tells, by which the daemon starts this program.
func Here() (Site, error) {
	self, err := os.Executable()
	if err != nil {
		return Site{}, err
	}
	all, err := machines()
	return Site{Machines: all, Source: bare.Source{
		CacheDir: os.Getenv(sandbox.CacheDirVariable), KernelDir: os.Getenv(KernelDirVariable),
		Agent: filepath.Join(filepath.Dir(self), AgentName),
	}}, err
}

// machines is how the configuration wants machines to be run, as the daemon tells
// this program.
func machines() (resource.VirtualMachines, error) {
	all := resource.DefaultVirtualMachines()
	text := os.Getenv(layout.VirtualMachinesVariable)
	if text == "" {
		return all, nil
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return all, fmt.Errorf("%s=%q: %w: %w", layout.VirtualMachinesVariable, text, errdefs.ErrInvalidArgument, err)
	}
	return all, nil
}

// Users is what the ids of machines' processes are lent from.
func (s Site) Users(host *outer.Host) hostuser.Pool {
	return hostuser.Pool{
		Range: s.Machines.UserIDs, Locks: filepath.Join(s.Source.Directory(), "users.lock"),
		Accounts: "/etc/passwd", Subordinates: "/etc/subuid", Busy: host.Users,
	}
}

// SizeFor is the size of the machine of a container.
func SizeFor(r resource.Resources) bare.Size {
	return bare.Size{MemoryBytes: cmp.Or(r.MemoryBytes, bare.DefaultMemory), CPUs: Processors(r)}
}

// Processors is how many of them the guest sees: as many as its limit fills.
func Processors(r resource.Resources) int {
	if r.NanoCPUs == 0 {
		return 1
	}
	return int((r.NanoCPUs + 1e9 - 1) / 1e9)
}

// Background is a last argument of "kernel warm": the machine is to get in nobody's
// way.
const Background = "background"

// WarmInBackground are the arguments that make a template for containers like one.
func WarmInBackground(r resource.Resources) []string {
	return []string{"kernel", "warm", strconv.FormatInt(r.MemoryBytes, 10), strconv.FormatInt(r.NanoCPUs, 10), Background}
}
