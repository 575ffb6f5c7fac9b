package vm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/vm/image"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/resource"
)

// shareTag is the name by which the guest knows what the host shares with it.
const shareTag = "patchbay"

func (e *Engine) sharesDir() string { return e.path("shares") }

// sharesHost says whether the machine is given anything of the host.
func (e *Engine) sharesHost() bool { return share.Needed(e.sandbox.Mounts) }

// lay makes the tree of all that the machine is given of the host, and fills
// volumes that are still empty from the image.
func (e *Engine) lay() error {
	if !e.sharesHost() {
		return nil
	}
	if err := share.Check(e.sandbox.Mounts); err != nil {
		return err
	}
	if err := e.fillVolumes(); err != nil {
		return err
	}
	return share.Lay(e.sharesDir(), e.sandbox.Mounts)
}

// fillVolumes copies the image's content on the host's side: also into volumes
// that the guest may not write to.
func (e *Engine) fillVolumes() error {
	var empty []resource.Mount
	for _, m := range e.sandbox.Mounts {
		if m.Type != resource.MountVolume {
			continue
		}
		entries, err := os.ReadDir(m.Source)
		if err != nil {
			return fmt.Errorf("volume for %s: %w", m.Target, err)
		}
		if len(entries) == 0 {
			empty = append(empty, m)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	return image.Mounted(e.sandbox.RootFilesystem.LowerDirectories, func(dir string) error {
		root, err := rootfs.Open(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		var faults []error
		for _, m := range empty {
			faults = append(faults, root.Fill(m))
		}
		return errors.Join(faults...)
	})
}

// serveShares starts the daemon that serves the tree and returns the machine's end
// of their connection. When the daemon dies the machine is ended: whoever in the
// guest waits for it would wait for ever.
func (e *Engine) serveShares(ctx context.Context) (*os.File, error) {
	program, err := share.Find(ctx)
	if err != nil {
		return nil, err
	}
	server, machine, err := program.Serve(e.sharesDir(), e.path("shares.sock"), e.group.Start)
	if err != nil {
		return nil, err
	}
	e.server = server
	return machine, nil
}

// blameShares adds how the daemon ended to the error of a machine that could not
// be made for that.
func (e *Engine) blameShares(err error) error {
	if e.server == nil {
		return err
	}
	select {
	case <-e.server.Done():
		return fmt.Errorf("%s: %w", e.server.Reason(), err)
	default:
		return err
	}
}

// watchShares ends the machine when the daemon dies before it: whoever in the
// guest used a share would wait for ever, and cannot be killed.
func (e *Engine) watchShares(machine *qemu.Machine) {
	select {
	case <-machine.Done():
		return
	case <-e.server.Done():
	}
	if !machine.Gone() { // else the daemon has ended because of that
		e.mu.Lock()
		e.fate = "what the host shares with it is gone: " + e.server.Reason()
		e.mu.Unlock()
	}
	machine.Kill()
}
