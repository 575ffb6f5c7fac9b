package vm

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

func engineOf(machine resource.MachineType) *Engine {
	return &Engine{config: Config{Site: site.Site{Machines: resource.VirtualMachines{Type: machine}}}}
}

// What a microvm is refused before anything has been changed, and others are not.
func TestWhatAMicroVMRefuses(t *testing.T) {
	t.Parallel()
	one, two := []wiring.Interface{{Name: "eth0"}}, []wiring.Interface{{Name: "eth0"}, {Name: "eth1"}}
	rerouted := []wiring.Interface{{Name: "eth0", MTU: 1400}}
	for name, tt := range map[string]struct {
		machine  resource.MachineType
		from, to []wiring.Interface
		refused  bool
	}{
		"one more":        {resource.MachineMicroVM, one, two, true},
		"one less":        {resource.MachineMicroVM, two, one, true},
		"other routes":    {resource.MachineMicroVM, one, rerouted, false},
		"q35":             {resource.MachineQ35, one, two, false},
		"nothing is said": {resource.MachineAuto, two, one, false},
	} {
		err := engineOf(tt.machine).canRewire(tt.from, tt.to)
		if (err != nil) != tt.refused || err != nil && (!errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), `set vm.machine = "q35"`)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := engineOf(resource.MachineMicroVM).begin(t.Context(), nil, make([]wiring.Interface, qemu.MaxNetworks+1))
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "can have 16, want 17") {
		t.Errorf("too many: %v", err)
	}
}
