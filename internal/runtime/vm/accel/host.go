package accel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/template"
)

// Device is where the kernel offers KVM.
const Device = "/dev/kvm"

// The interface of KVM (Documentation/virt/kvm/api.rst of the kernel).
const (
	getAPIVersion = 0xae00
	apiVersion    = 12
)

// Open reports whether the host offers KVM, else why not.
func Open() error {
	f, err := os.OpenFile(Device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s: the processor, its firmware or the machine around this one does not let guests run: %w", Device, errdefs.ErrFailedPrecondition)
	case err != nil:
		return fmt.Errorf("%s cannot be opened: %w", Device, errors.Unwrap(err))
	}
	defer f.Close()
	version, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getAPIVersion, 0)
	switch {
	case errno != 0:
		return fmt.Errorf("%s is not that of KVM: %w", Device, errno)
	case version != apiVersion:
		return fmt.Errorf("%s speaks version %d of its interface, want %d: %w", Device, version, apiVersion, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Key names what a verdict depends on beside the guest's kernel: QEMU, the
// processor, and this boot of the host.
func Key(kernel string) (string, error) {
	program, err := template.Program(qemu.Binary)
	if err != nil {
		return "", fmt.Errorf("%s is not installed (Debian: qemu-system-x86): %w", qemu.Binary, errdefs.ErrFailedPrecondition)
	}
	host, err := template.ThisHost()
	return fmt.Sprintf("%s %s %s %s", program, host.Boot, host.Processor, kernel), err
}

// Lend puts a device node that a user alone may open in the place of KVM's, in the
// calling process's mount namespace, which must be its own. The host's node often
// is for root or a group only, and a group may own more than that. Directory is an
// empty place for a moment; it is made and removed.
func Lend(user uint32, directory string) (err error) {
	var number unix.Stat_t
	if err := unix.Stat(Device, &number); err != nil {
		return fmt.Errorf("%s: %w", Device, err)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(directory)) }()
	// Not on the file system that is there: it may be mounted without devices.
	if err := unix.Mount("tmpfs", directory, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=700,size=64k"); err != nil {
		return fmt.Errorf("%s for the machine: %w", Device, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(directory, unix.MNT_DETACH)) }()
	node := filepath.Join(directory, "kvm")
	if err := errors.Join(
		unix.Mknod(node, unix.S_IFCHR|0o600, int(number.Rdev)),
		os.Chown(node, int(user), int(user)),
		unix.Mount(node, Device, "", unix.MS_BIND, ""),
	); err != nil {
		return fmt.Errorf("%s for the machine: %w", Device, err)
	}
	return nil
}
