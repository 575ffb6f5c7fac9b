// Package wiring changes which networks a container is on, whether it runs or
// not.
//
// A change is acknowledged when what the container is to be on is stored and the sandbox is
// changed. Both are done at once, but that disconnecting stores first where the disk may
// not take it: a change that is refused interrupts no traffic. A
// crash before leaves a record and a sandbox that may differ in one attachment, which nobody was told
// of. Reconcile takes it away from whichever of them has it: it was being connected, which
// is taken back, or being disconnected, which is finished.
package wiring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Sandbox is what runs of a container.
type Sandbox interface {
	Connect(context.Context, *sandboxv1.ConnectRequest) (*sandboxv1.ConnectResponse, error)
	Disconnect(context.Context, *sandboxv1.DisconnectRequest) (*sandboxv1.DisconnectResponse, error)
}

// Change is what is needed to change the networks of one container. There must be
// one change of a container at a time.
type Change struct {
	Container leases.Container // as it is stored
	Networks  leases.Networks
	Sandbox   Sandbox // nil: it does not run
	// Explain says why a call of the sandbox failed.
	Explain func(error) error
	// Store stores which networks the container is on.
	Store func(context.Context, []resource.AttachmentConfiguration) error
	// Roomy reports whether the disk has so much room that Store will not be refused.
	Roomy func() bool
	// Applied is told the attachments of the sandbox whenever they have changed.
	Applied func([]resource.Attachment)
	// Ended reports whether nothing of the sandbox is left, or nothing will be
	// soon.
	Ended func() bool
	// Timeout bounds what a network is asked for in what is to be undone or cannot be stopped.
	Timeout time.Duration
	// SandboxTimeout bounds how long the sandbox may take to make an interface or to take it
	// out. It does either to its end, so that who gives up earlier does not know what is true.
	SandboxTimeout time.Duration
	Log            *slog.Logger
}

// Connect adds an attachment, whose interface has a name. All or nothing. It
// returns the network's answer, without addresses if the container does not run.
func (c Change) Connect(ctx context.Context, wish resource.AttachmentConfiguration) (made resource.Attachment, err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { c.release(ctx, wish); return nil })
	one := c.Container.Only(wish)
	if err := leases.Reserve(ctx, c.Networks, one); err != nil {
		return made, err
	}
	// The disk is waited for beside the sandbox.
	stored := c.beginStore(ctx, append(slices.Clone(c.Container.Wishes), wish))
	made, all, err := c.plug(ctx, one, &undo)
	unwritten := <-stored
	if unwritten == nil {
		undo.Add(func() error { return c.Store(ctx, c.Container.Wishes) })
	}
	if err := cmp.Or(unwritten, err); err != nil {
		return made, err
	}
	undo.Success()
	if c.Sandbox != nil {
		c.Applied(all)
	}
	return made, nil
}

// plug makes the only attachment of a container in its sandbox, if that is there, and
// returns it, and all that the sandbox has then.
func (c Change) plug(ctx context.Context, one leases.Container, undo *revert.Stack) (made resource.Attachment, all []resource.Attachment, err error) {
	wish := one.Wishes[0]
	if c.Sandbox == nil {
		return resource.Attachment{NetworkID: wish.Network, InterfaceName: wish.InterfaceName}, nil, nil
	}
	allocated, err := leases.Allocate(ctx, c.Networks, one)
	if err != nil {
		return made, nil, err
	}
	// A call that got no answer may have been heard.
	undo.Add(func() error { c.unplug(ctx, wish.InterfaceName); return nil })
	connecting, cancel := context.WithTimeout(ctx, c.SandboxTimeout)
	defer cancel()
	answer, err := c.Sandbox.Connect(connecting, &sandboxv1.ConnectRequest{Attachment: wire.AllocatedAttachmentToProto(allocated[0])})
	if err != nil {
		return made, nil, c.explain(err, "made", wish.InterfaceName)
	}
	all, err = wire.AttachmentsFromProto(answer.GetAttachments())
	if err != nil {
		return made, nil, err
	}
	place := slices.IndexFunc(all, func(a resource.Attachment) bool { return a.InterfaceName == wish.InterfaceName })
	if place < 0 {
		return made, nil, fault.New(errdefs.ErrInternal, "the runtime helper says nothing of interface %s", wish.InterfaceName)
	}
	return all[place], all, nil
}

// Disconnect takes the attachment at a place away. Once begun it goes on without
// its caller. With force it is taken from the configuration even if the sandbox
// does not answer, which then keeps the interface until its end.
func (c Change) Disconnect(ctx context.Context, place int, force bool) (err error) {
	ctx = context.WithoutCancel(ctx)
	wish := c.Container.Wishes[place]
	stored := c.beginStore(ctx, slices.Delete(slices.Clone(c.Container.Wishes), place, place+1))
	if c.Sandbox == nil {
		if err := <-stored; err != nil {
			return err
		}
		c.release(ctx, wish)
		return nil
	}
	if !c.Roomy() {
		if err := <-stored; err != nil {
			return err
		}
		stored <- nil
	}
	// The network is asked beside the sandbox: it waits until the sandbox has let go.
	release := c.beginRelease(ctx, wish)
	if force {
		c.SandboxTimeout = c.Timeout // as the sandbox is not needed
	}
	err = c.takeOut(ctx, wish.InterfaceName)
	unwritten := <-stored
	switch {
	case unwritten != nil:
		release.takeBack()
		if err == nil {
			unwritten = fmt.Errorf("%w; it is off the network until it starts again: disconnect it once more", unwritten)
		}
		return unwritten
	case err != nil && !force:
		release.takeBack()
		return errors.Join(err, c.Store(ctx, c.Container.Wishes))
	case err != nil:
		c.Log.Warn("an interface stays until its container's end", "container", c.Container.ID, "interface", wish.InterfaceName, "error", err)
	}
	release.wait(err == nil)
	return nil
}

// beginStore stores which networks the container is on, and then sends how that went.
func (c Change) beginStore(ctx context.Context, wishes []resource.AttachmentConfiguration) chan error {
	stored := make(chan error, 1)
	go func() { stored <- c.Store(ctx, wishes) }()
	return stored
}

// release is a request to a network to give up what it has for a wish.
type release struct {
	change Change
	wish   resource.AttachmentConfiguration
	cancel context.CancelFunc
	ended  chan error
}

// beginRelease asks for it while the sandbox may still hold the lease.
func (c Change) beginRelease(ctx context.Context, wish resource.AttachmentConfiguration) *release {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	r := &release{change: c, wish: wish, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- leases.Release(ctx, c.Networks, c.Container.Only(wish), true) }()
	return r
}

// wait returns when it is given up, or cannot be. The request is made once more if the sandbox has let go, which
// may have been too late for the first.
func (r *release) wait(letGo bool) {
	defer r.cancel()
	err := <-r.ended
	if err != nil && letGo {
		r.change.release(context.Background(), r.wish)
		return
	}
	r.change.unreleased(err)
}

// takeBack ends the request. What it has given up meanwhile is reserved again.
func (r *release) takeBack() {
	r.cancel()
	if <-r.ended != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.change.Timeout)
	defer cancel()
	if err := leases.Reserve(ctx, r.change.Networks, r.change.Container.Only(r.wish)); err != nil {
		r.change.Log.Warn("cannot reserve addresses again", "container", r.change.Container.ID, "network", r.wish.Network, "error", err)
	}
}

// Reconcile makes the record and the sandbox of a container that runs agree after
// a crash; attachments are what the sandbox has.
func (c Change) Reconcile(ctx context.Context, attachments []resource.Attachment) error {
	var faults []error
	left := slices.DeleteFunc(slices.Clone(c.Container.Wishes), func(w resource.AttachmentConfiguration) bool {
		return !slices.ContainsFunc(attachments, func(a resource.Attachment) bool { return a.InterfaceName == w.InterfaceName })
	})
	for _, w := range c.Container.Wishes {
		if slices.ContainsFunc(left, func(l resource.AttachmentConfiguration) bool { return l.InterfaceName == w.InterfaceName }) {
			continue
		}
		c.Log.Info("taking back a connection that was being made", "container", c.Container.ID, "interface", w.InterfaceName)
		// It may be under way in the sandbox still, which then waits for that.
		if err := c.takeOut(ctx, w.InterfaceName); err != nil {
			faults = append(faults, err)
			left = append(left, w)
			continue
		}
		c.release(ctx, w)
	}
	if len(left) < len(c.Container.Wishes) {
		faults = append(faults, c.Store(ctx, left))
	}
	for _, a := range attachments {
		if slices.ContainsFunc(c.Container.Wishes, func(w resource.AttachmentConfiguration) bool { return w.InterfaceName == a.InterfaceName }) {
			continue
		}
		c.Log.Info("finishing a disconnection", "container", c.Container.ID, "interface", a.InterfaceName)
		if err := c.takeOut(ctx, a.InterfaceName); err != nil {
			faults = append(faults, err)
			continue
		}
		c.release(ctx, resource.AttachmentConfiguration{Network: a.NetworkID, InterfaceName: a.InterfaceName})
	}
	return errors.Join(faults...)
}

// takeOut removes an interface from the sandbox. That it is not there, or that
// nothing is, is no error.
func (c Change) takeOut(ctx context.Context, interfaceName string) error {
	ctx, cancel := context.WithTimeout(ctx, c.SandboxTimeout)
	defer cancel()
	answer, err := c.Sandbox.Disconnect(ctx, &sandboxv1.DisconnectRequest{InterfaceName: interfaceName})
	switch {
	case errors.Is(err, errdefs.ErrNotFound):
		return nil
	case err != nil:
		if err = c.explain(err, "taken out", interfaceName); c.Ended() {
			return nil
		}
		return err
	}
	c.applied(answer.GetAttachments())
	return nil
}

// explain says why the sandbox has not done something with an interface.
func (c Change) explain(err error, done, interfaceName string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(errdefs.ErrUnavailable, "container %s: its runtime helper has not %s interface %s within %v", c.Container.Name, done, interfaceName, c.SandboxTimeout)
	case errdefs.IsNotImplemented(err):
		return fault.New(errdefs.ErrFailedPrecondition, "container %s: its runtime cannot change the networks of a container that runs: stop it first", c.Container.Name)
	}
	return c.Explain(err)
}

// unplug is takeOut for what is undone.
func (c Change) unplug(ctx context.Context, interfaceName string) {
	if err := c.takeOut(context.WithoutCancel(ctx), interfaceName); err != nil {
		c.Log.Warn("cannot take back an interface", "container", c.Container.ID, "interface", interfaceName, "error", err)
	}
}

func (c Change) applied(all []*typesv1.Attachment) {
	attachments, err := wire.AttachmentsFromProto(all)
	if err != nil {
		c.Log.Warn("a runtime helper names strange attachments", "container", c.Container.ID, "error", err)
		return
	}
	c.Applied(attachments)
}

// release gives up what a network has for a wish.
func (c Change) release(ctx context.Context, wish resource.AttachmentConfiguration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
	defer cancel()
	c.unreleased(leases.Release(ctx, c.Networks, c.Container.Only(wish), true))
}

// unreleased logs that a lease cannot be released: a plugin frees one that nobody holds by
// itself, and is told what is reserved whenever it starts.
func (c Change) unreleased(err error) {
	if err != nil {
		c.Log.Warn("cannot release a lease", "container", c.Container.ID, "error", err)
	}
}
