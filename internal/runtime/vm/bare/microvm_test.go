package bare

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
)

func TestMakeMicroVM(t *testing.T) {
	t.Parallel()
	m := &Machine{}
	if err := m.MakeMicroVM(); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), early.DriverMMIO) || m.MicroVM {
		t.Errorf("a kernel without the driver: %v", err)
	}
	m = &Machine{Booted: kernel.Kernel{Extras: map[string][]string{early.DriverMMIO: nil, early.DriverPanic: nil}}}
	m.Accelerator = qemu.KVM
	if err := m.MakeMicroVM(); err != nil || !m.MicroVM || m.KernelArguments != "patchbay.drivers=pvpanic_mmio,virtio_mmio" {
		t.Errorf("got %q, %v", m.KernelArguments, err)
	}
}

func TestFrequency(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"processor\t: 0\ncpu MHz\t\t: 2596.144\n\nprocessor\t: 1\ncpu MHz\t\t: 1000.000\n": 2596144,
		"cpu MHz\t\t: 800\n":   800000,
		"processor\t: 0\n":     0,
		"cpu MHz\t\t: x\n":     0,
		"cpu MHz\t\t: 0.000\n": 0,
	} {
		got, err := frequency(strings.NewReader(text))
		if got != want || (err == nil) != (want != 0) || err != nil && !errdefs.IsFailedPrecondition(err) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}
