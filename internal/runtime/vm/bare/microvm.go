package bare

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
)

// MakeMicroVM makes the machine a microvm; errdefs.ErrFailedPrecondition where the
// guest's kernel cannot be in one.
func (m *Machine) MakeMicroVM() error {
	if !m.Booted.Has(early.DriverMMIO) {
		return fmt.Errorf("vm.machine is microvm, but the guest's kernel, as it was set, has no driver %s: %w", early.DriverMMIO, errdefs.ErrFailedPrecondition)
	}
	m.MicroVM = true
	m.KernelArguments = early.Arguments(drivers(m.Booted, early.DriverPanic, early.DriverMMIO))
	if m.Accelerator != qemu.TCG {
		return nil // the guest asks its host
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	kilohertz, err := frequency(f)
	if err != nil {
		return fmt.Errorf("/proc/cpuinfo: %w", err)
	}
	m.KernelArguments += fmt.Sprintf(" tsc_early_khz=%d", kilohertz)
	return nil
}

// frequency is that of the first processor in kHz, as proc(5) tells it. Emulated time
// stamps count with it. A microvm has no timer to measure them by, and its kernel does
// not boot without knowing.
func frequency(cpuinfo io.Reader) (kilohertz int, err error) {
	lines := bufio.NewScanner(cpuinfo)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) != "cpu MHz" {
			continue
		}
		megahertz, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || megahertz < 1 {
			break
		}
		return int(megahertz * 1000), nil
	}
	return 0, fmt.Errorf("does not tell the processor's frequency, which a microvm in software emulation needs: set vm.machine = \"q35\": %w", errdefs.ErrFailedPrecondition)
}
