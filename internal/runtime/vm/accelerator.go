package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/accel"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/console"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/resource"
)

// chooser decides what executes the guests of this host. Without a host, whose
// helper has not moved in, it can tell what is known and try nothing.
func (c Config) chooser(k kernel.Kernel, host *outer.Host) accel.Chooser {
	return accel.Chooser{
		Wish:    c.Machines.Accelerator,
		File:    filepath.Join(c.Source.Directory(), "accelerator.json"),
		Key:     func() (string, error) { return accel.Key(k.Digest) },
		Open:    accel.Open,
		Try:     func(ctx context.Context) error { return c.tryKVM(ctx, host) },
		Timeout: accel.DefaultTimeout,
	}
}

// tryKVM boots a machine that has nothing but a kernel and the agent, with KVM, and
// returns when the agent has answered.
func (c Config) tryKVM(ctx context.Context, host *outer.Host) error {
	dir, err := os.MkdirTemp("", "patchbay-kvm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	user, err := c.users(host).Lend()
	if err != nil {
		return err
	}
	defer func() { _ = user.Close() }() // it is only read
	if err := accel.Lend(user.ID, filepath.Join(dir, "device")); err != nil {
		return err
	}
	m, err := c.Source.Open(qemu.KVM, bare.Size{MemoryBytes: bare.MinMemory, CPUs: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	said := filepath.Join(dir, "console")
	if m.Console, err = os.OpenFile(said, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	defer m.Console.Close()
	m.User, m.Start = user.ID, (*exec.Cmd).Start // nobody's but our code runs there
	machine, err := qemu.Start(ctx, m.Config)
	if err != nil {
		return err
	}
	defer machine.Kill()
	session, err := channel.Connect(ctx, machine.Agent())
	if err != nil {
		return console.Explain(err, machine.Reason(), said)
	}
	return session.Close()
}

// accelerator is what executes this machine's guest. Where KVM has not been tried yet
// the machine does not wait for that: it is emulated, and the trial goes on beside
// it for those that come later.
func (e *Engine) accelerator() (qemu.Accelerator, error) {
	k, err := kernel.Load(e.config.Source.KernelDir)
	if err != nil {
		return "", err
	}
	chooser := e.config.chooser(k, e.host)
	v, err := chooser.Known()
	if err != nil {
		return "", err
	}
	e.verdict = v
	e.status.Type, e.status.Accelerator = resource.MachineQ35, resource.Accelerator(v.Accelerator)
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
