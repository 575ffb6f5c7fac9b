// Package layout says where everything lives below the two roots, so that
// several independent instances can live on one machine.
//
// The root holds what must outlive a reboot; the run root, usually a tmpfs,
// what must not.
package layout

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
)

// The default roots and the environment variables that replace them.
const (
	DefaultRoot     = "/var/lib/patchbay"
	DefaultRunRoot  = "/run/patchbay"
	RootVariable    = "PATCHBAY_ROOT"
	RunRootVariable = "PATCHBAY_RUN_ROOT"
	// PluginPathVariable lists further plugin directories, separated by colons.
	PluginPathVariable = "PATCHBAY_PLUGIN_PATH"
	// ConfigPath is the daemon's configuration file.
	ConfigPath = "/etc/patchbay/config.toml"
	// ConfigVariable replaces ConfigPath.
	ConfigVariable = "PATCHBAY_CONFIG"
	// VirtualMachinesVariable tells the programs of runtimes a
	// resource.VirtualMachines, as JSON.
	VirtualMachinesVariable = "PATCHBAY_VM"
)

// maxRunRoot leaves room for the longest socket below the run root in the 108
// bytes of a unix socket's address (unix(7)).
const maxRunRoot = 108 - 1 - len("/networks/0123456789abcdef/plugin.sock.new")

// Roots are the two roots of an instance, absolute paths.
type Roots struct {
	Root    string
	RunRoot string
}

// FromEnvironment returns the roots given by flags, else by the environment,
// else the defaults.
func FromEnvironment(rootFlag, runRootFlag string) (Roots, error) {
	r := Roots{
		Root:    cmp.Or(rootFlag, os.Getenv(RootVariable), DefaultRoot),
		RunRoot: cmp.Or(runRootFlag, os.Getenv(RunRootVariable), DefaultRunRoot),
	}
	for name, path := range map[string]string{"root": r.Root, "run root": r.RunRoot} {
		if !filepath.IsAbs(path) {
			return Roots{}, fmt.Errorf("%s %q: want an absolute path: %w", name, path, errdefs.ErrInvalidArgument)
		}
	}
	if len(r.RunRoot) > maxRunRoot {
		return Roots{}, fmt.Errorf("run root %q: is %d bytes long, want at most %d, for the sockets below it: %w",
			r.RunRoot, len(r.RunRoot), maxRunRoot, errdefs.ErrInvalidArgument)
	}
	return r, nil
}

// Database is the store of configuration.
func (r Roots) Database() string { return filepath.Join(r.Root, "patchbay.db") }

// Images is the directory of the image store.
func (r Roots) Images() string { return filepath.Join(r.Root, "images") }

// Credentials is the file of registry credentials.
func (r Roots) Credentials() string { return filepath.Join(r.Root, "credentials.json") }

// Container is the directory of what belongs to one container and outlives
// its runs: writable layer, volumes, log.
func (r Roots) Container(id string) string { return filepath.Join(r.Root, "containers", id) }

// ContainerLog is the file with the output of a container's main process.
func (r Roots) ContainerLog(id string) string { return filepath.Join(r.Container(id), "log") }

// Cache is the directory of what can be made anew when it is lost.
func (r Roots) Cache() string { return filepath.Join(r.Root, "cache") }

// Kernel is the directory of the kernel that virtual machines boot.
func (r Roots) Kernel() string { return filepath.Join(r.Root, "kernel") }

// APISocket is the socket of patchbayd.
func (r Roots) APISocket() string { return filepath.Join(r.RunRoot, "patchbayd.sock") }

// TraceSocket is the socket to which processes tell their spans, while somebody
// traces.
func (r Roots) TraceSocket() string { return filepath.Join(r.RunRoot, "trace.sock") }

// Lock is the file that the one patchbayd of an instance holds locked.
func (r Roots) Lock() string { return filepath.Join(r.RunRoot, "patchbayd.lock") }

// DaemonLog is the file with patchbayd's log where systemd does not keep it.
func (r Roots) DaemonLog() string { return filepath.Join(r.RunRoot, "patchbayd.log") }

// Events is the file of recent events.
func (r Roots) Events() string { return filepath.Join(r.RunRoot, "events.json") }

// Networks is the directory with a directory for each network's plugin.
func (r Roots) Networks() string { return filepath.Join(r.RunRoot, "networks") }

// Network is the directory of one network's plugin process.
func (r Roots) Network(id string) string { return filepath.Join(r.Networks(), id) }

// PluginSocket is the socket of a network's plugin.
func (r Roots) PluginSocket(id string) string { return filepath.Join(r.Network(id), "plugin.sock") }

// Standby is the directory with a directory for each runtime helper that waits for
// a container.
func (r Roots) Standby() string { return filepath.Join(r.RunRoot, "standby") }

// Newcomers is the directory with a file for each container that is created and started by one
// call, until that has succeeded. A reboot voids it, before which nobody may have heard of them.
func (r Roots) Newcomers() string { return filepath.Join(r.RunRoot, "newcomers") }

// Newcomer is the file of one of them.
func (r Roots) Newcomer(id string) string { return filepath.Join(r.Newcomers(), id) }

// Sandboxes is the directory with a directory for each running container.
func (r Roots) Sandboxes() string { return filepath.Join(r.RunRoot, "sandboxes") }

// Sandbox is the directory of one runtime helper.
func (r Roots) Sandbox(id string) string { return filepath.Join(r.Sandboxes(), id) }

// SandboxSocketName is the name of a runtime helper's socket in its directory.
const SandboxSocketName = "sandbox.sock"

// SandboxSocket is the socket of a runtime helper.
func (r Roots) SandboxSocket(id string) string {
	return filepath.Join(r.Sandbox(id), SandboxSocketName)
}

// StdioSocket is the socket of a runtime helper for the standard streams of its
// processes.
func (r Roots) StdioSocket(id string) string { return filepath.Join(r.Sandbox(id), "stdio.sock") }
