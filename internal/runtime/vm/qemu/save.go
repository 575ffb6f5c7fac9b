package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/containerd/errdefs"
)

// stateFile is the name that the monitor knows the pipe of a state by.
const stateFile = "state"

// Class returns what two machines must have in common for one to go on from where
// the other was saved: the command line, but for the files that are behind devices.
func (c Config) Class() []string {
	c.Memory, c.Saved, c.Shared, c.Sockets = nil, nil, false, nil
	c.Disks = slices.Clone(c.Disks)
	for i, d := range c.Disks {
		if d.File != nil {
			if info, err := d.File.Stat(); err == nil {
				c.Disks[i].Size = info.Size()
			}
			c.Disks[i].File = nil
		}
	}
	return arguments(c, &inherited{}, nil, nil)
}

// Save stops a machine that has Config.Memory for good, leaves the guest's memory
// there, and writes all the rest of its state, some 100 KiB.
func (m *Machine) Save(ctx context.Context, w io.Writer) error {
	if err := m.monitor.execute(ctx, "stop", nil); err != nil {
		return err
	}
	out, err := m.migrate(ctx, "migrate", func(r, w *os.File) (ours, theirs *os.File) { return r, w })
	if err != nil {
		return err
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { out.Close() })()
	if _, err := io.Copy(w, out); err != nil {
		return fmt.Errorf("machine: save its state: %w", err)
	}
	return m.monitor.awaitMigration(ctx)
}

// restore has a machine that was just started go on from a saved state.
func (m *Machine) restore(ctx context.Context, state []byte) error {
	in, err := m.migrate(ctx, "migrate-incoming", func(r, w *os.File) (ours, theirs *os.File) { return w, r })
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { in.Close() })()
	_, err = in.Write(state)
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("machine: restore its state: %w: %w", errdefs.ErrUnavailable, err)
	}
	if err := m.monitor.awaitMigration(ctx); err != nil {
		return err
	}
	return m.monitor.execute(ctx, "cont", nil) // it was saved as one that is stopped
}

// migrate begins a migration by a pipe and returns our end of it. What is in a file
// is not migrated (x-ignore-shared; docs/system/vm-templating.rst of QEMU).
func (m *Machine) migrate(ctx context.Context, command string, ends func(r, w *os.File) (ours, theirs *os.File)) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ours, theirs := ends(r, w)
	defer theirs.Close()
	on := func(name string) map[string]any { return map[string]any{"capability": name, "state": true} }
	err = m.monitor.execute(ctx, "migrate-set-capabilities", map[string]any{
		"capabilities": []any{on("x-ignore-shared"), on("events")},
	})
	if err == nil {
		err = m.monitor.execute(ctx, "getfd", map[string]any{"fdname": stateFile}, theirs)
	}
	if err == nil {
		err = m.monitor.execute(ctx, command, map[string]any{"uri": "fd:" + stateFile})
	}
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return ours, nil
}

// awaitMigration returns when the state is out, or in.
func (m *monitor) awaitMigration(ctx context.Context) error {
	select {
	case ok := <-m.moved:
		if ok {
			return nil
		}
	case <-m.done:
	case <-ctx.Done():
		return fmt.Errorf("machine: its state does not come through: %w", ctx.Err())
	}
	return fmt.Errorf("machine: its state has not come through: %w", errdefs.ErrUnavailable)
}
