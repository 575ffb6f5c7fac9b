package site

import (
	"context"
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
	"patchbay.dev/patchbay/internal/wire"
)

// Chooser decides what executes the guests of this host. Without a host, whose
// helper has not moved in, it can tell what is known and try nothing.
func (s Site) Chooser(k kernel.Kernel, host *outer.Host) accel.Chooser {
	return accel.Chooser{
		Wish:    s.Machines.Accelerator,
		File:    filepath.Join(s.Source.Directory(), "accelerator.json"),
		Key:     func() (string, error) { return accel.Key(k.Digest) },
		Open:    accel.Open,
		Try:     func(ctx context.Context) error { return s.tryKVM(ctx, host) },
		Timeout: accel.DefaultTimeout,
	}
}

// tryKVM boots a machine that has nothing but a kernel and the agent, with KVM, and
// returns when the agent has answered.
func (s Site) tryKVM(ctx context.Context, host *outer.Host) error {
	dir, err := os.MkdirTemp("", "patchbay-kvm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	user, err := s.Users(host).Lend()
	if err != nil {
		return err
	}
	defer func() { _ = user.Close() }() // it is only read
	if err := accel.Lend(user.ID, filepath.Join(dir, "device")); err != nil {
		return err
	}
	m, err := s.Source.Open(qemu.KVM, bare.Size{MemoryBytes: bare.MinMemory, CPUs: 1})
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

// Known is what executes guests, as far as it is known.
func (s Site) Known(k kernel.Kernel) accel.Verdict {
	v, err := s.Chooser(k, nil).Known()
	if err != nil {
		return accel.Verdict{Reason: wire.Text(err)}
	}
	return v
}
