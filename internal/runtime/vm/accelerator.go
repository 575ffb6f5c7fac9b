package vm

import (
	"context"
	"fmt"

	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/resource"
)

// accelerator is what executes this machine's guest. Where KVM has not been tried yet
// the machine does not wait for that: it is emulated, and the trial goes on beside
// it for those that come later.
func (e *Engine) accelerator() (qemu.Accelerator, error) {
	k, err := kernel.Load(e.config.Source.KernelDir)
	if err != nil {
		return "", err
	}
	chooser := e.config.Chooser(k, e.host)
	v, err := chooser.Known()
	if err != nil {
		return "", err
	}
	e.verdict = v
	e.status.Accelerator = resource.Accelerator(v.Accelerator)
	close(e.chosen)
	if v.Untried {
		ctx, cancel := context.WithCancel(context.Background())
		e.stopTrial = cancel
		e.trial.Go(func() {
			_, _ = chooser.Decide(ctx) // without a verdict the next one tries
		})
	}
	return v.Accelerator, nil
}

// Warnings says what the user should know of the machine.
func (e *Engine) Warnings() []string {
	if !e.verdict.Emulated() {
		return nil
	}
	return []string{fmt.Sprintf("the virtual machine runs in software emulation, many times slower than with KVM: %s", e.verdict.Reason)}
}
