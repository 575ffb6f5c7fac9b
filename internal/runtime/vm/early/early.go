// Package early is what host and agent agree on before they can speak to each other:
// where the modules of the guest's kernel are in the initial file system, and in
// the kernel's command line which of them the machine needs beside the usual ones.
package early

import (
	"path"
	"strings"
)

// The drivers that a guest can do without, as the kernel calls them.
const (
	// DriverPanic tells the machine of a panic of the guest's kernel.
	DriverPanic = "pvpanic_mmio"
	// DriverSockets is the guest's end of sockets to the host (vsock(7)).
	DriverSockets = "vmw_vsock_virtio_transport"
	// DriverMMIO is the bus of machines without PCI.
	DriverMMIO = "virtio_mmio"
)

// Modules is the directory of the modules.
const Modules = "/modules"

// argument names drivers in the kernel's command line. The kernel takes a name with a
// dot for a module's business and lets it be.
const argument = "patchbay.drivers="

// List is the path of the names of modules, of files in Modules, a line each in the order of
// loading: those that every machine needs, or with a driver those that it needs after
// them.
func List(driver string) string {
	if driver == "" {
		return path.Join(Modules, "order")
	}
	return path.Join(Modules, "order."+driver)
}

// Arguments has the agent load drivers. It is "" for none.
func Arguments(drivers []string) string {
	if len(drivers) == 0 {
		return ""
	}
	return argument + strings.Join(drivers, ",")
}

// Drivers are those that a kernel's command line (proc(5), /proc/cmdline) tells to load.
func Drivers(commandLine string) []string {
	for word := range strings.FieldsSeq(commandLine) {
		if list, ok := strings.CutPrefix(word, argument); ok && list != "" {
			return strings.Split(list, ",")
		}
	}
	return nil
}
