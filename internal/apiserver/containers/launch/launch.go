// Package launch starts the runtime helpers of containers: with their main
// processes, or for their files alone.
package launch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/hostport"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/request"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Images has the content of images.
type Images interface {
	// Layers returns the unpacked layers of an image, the uppermost first.
	Layers(digest string) ([]string, error)
}

// Launcher starts helpers. All fields are required.
type Launcher struct {
	Roots    layout.Roots
	Images   Images
	Networks leases.Networks
	Runtimes request.Runtimes
	Programs *runtimehelper.Programs
	Timeout  time.Duration // until a main process runs
	Grace    time.Duration // for anything else that a helper or a network is asked for
	// LogLimits are those of containers that have none of their own.
	LogLimits resource.LogLimits
	Log       *slog.Logger
}

// Container is one that is to be launched.
type Container struct {
	Metadata      resource.Metadata
	Configuration resource.ContainerConfiguration
	Wishes        leases.Container
}

// errorf returns an error about the container.
func (c Container) errorf(kind error, format string, args ...any) error {
	return fault.New(kind, "container %s: "+format, append([]any{c.Metadata.Name}, args...)...)
}

// Launched is a main process that runs.
type Launched struct {
	Helper      runtimehelper.Helper
	Answer      resource.StartedContainer
	PID         int // of the main process
	StartedAt   time.Time
	Attachments []resource.Attachment
	// Errand is what the runtime wants its program to be run with, in the background.
	Errand  []string
	Runtime manifest.Plugin
}

// Start is how a main process is started.
type Start struct {
	// Attach: output is held back for a while until somebody is there.
	Attach bool
	// Record stores the container; nil: it is stored. It is called when there are the
	// directories, beside the preparation of the sandbox: no main process runs of which
	// the next patchbayd does not know.
	Record func(context.Context) error
}

// Start allocates on all networks, starts a helper and the main process in it. On an
// error nothing is left of it but what Record did.
func (l Launcher) Start(ctx context.Context, c Container, o Start) (made Launched, err error) {
	n, err := l.needs(c)
	if err != nil {
		return Launched{}, err
	}
	var h runtimehelper.Helper
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { l.Release(ctx, c.Wishes, false); return nil })
	undo.Add(func() error { l.unmark(c); return nil })
	undo.Add(func() error { l.dismiss(ctx, c, h); return nil })
	r, err := l.begin(ctx, c, n, &h, o)
	if err != nil {
		return Launched{}, err
	}
	made, err = l.bootstrap(ctx, c, h, r)
	if err != nil {
		return Launched{}, err
	}
	undo.Success()
	made.Runtime = n.runtime
	return made, nil
}

// Open starts a helper that has the root file system of a container and no more.
// What there is of it is returned with an error too, to be dismissed.
func (l Launcher) Open(ctx context.Context, c Container) (h runtimehelper.Helper, err error) {
	n, err := l.needs(c)
	if err != nil {
		return h, err
	}
	if err := disk.Make(l.Roots.Container(c.Metadata.ID), c.Configuration.Mounts); err != nil {
		return h, c.errorf(fault.KindOfFile(err), "%w", err)
	}
	if h, err = l.startHelper(ctx, c, n.runtime); err != nil {
		return h, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	_, err = h.Client.Open(ctx, &sandboxv1.OpenRequest{Container: l.bootstrapRequest(c, h, n.layers)})
	switch {
	case fault.IsConnection(err):
		return h, h.Explain(c.Metadata.Name, l.Grace, err)
	case err != nil:
		return h, c.errorf(wire.Kind(err), "%w", err)
	}
	return h, nil
}

// needs is what a container needs of what may have gone since it was created.
type needs struct {
	runtime manifest.Plugin
	layers  []string // of its image
}

func (l Launcher) needs(c Container) (n needs, err error) {
	if n.runtime, err = l.Runtimes.Runtime(c.Configuration.Runtime); err != nil {
		return n, c.errorf(wire.Kind(err), "%w", err)
	}
	if n.layers, err = l.Images.Layers(c.Configuration.ImageDigest); err != nil {
		return n, c.errorf(wire.Kind(err), "%w", err)
	}
	return n, nil
}

func (l Launcher) bootstrapRequest(c Container, h runtimehelper.Helper, layers []string) *sandboxv1.BootstrapRequest {
	c.Configuration.Log = c.Configuration.Log.Or(l.LogLimits)
	r := blueprint.Sandbox(l.Roots, c.Metadata, c.Configuration, layers)
	if h.Moved {
		r.StateDirectory = l.Roots.Sandbox(c.Metadata.ID)
	}
	return r
}

// begin starts the helper, and has it begin with the sandbox, while the networks allocate
// and the record is written. It returns what is left to be told. A fault of a network
// comes before one of the helper.
func (l Launcher) begin(ctx context.Context, c Container, n needs, h *runtimehelper.Helper, o Start) (*sandboxv1.BootstrapRequest, error) {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	var allocated []resource.AllocatedAttachment
	var allocation, recording, helper error
	var parallel sync.WaitGroup
	beside := func(fault *error, step func(context.Context) error) {
		parallel.Go(func() {
			if *fault = step(ctx); *fault != nil {
				cancel()
			}
		})
	}
	beside(&allocation, func(ctx context.Context) (err error) {
		allocated, err = leases.Allocate(ctx, l.Networks, c.Wishes)
		return err
	})
	var left *sandboxv1.BootstrapRequest
	if err := l.makeDirectories(c); err != nil {
		helper = c.errorf(fault.KindOfFile(err), "%w", err)
	} else {
		if o.Record != nil {
			beside(&recording, o.Record)
		}
		if *h, helper = l.startHelper(starting, c, n.runtime); helper == nil {
			left, helper = l.prepare(starting, c, *h, n.layers, o.Attach)
		}
	}
	parallel.Wait()
	if err := cmp.Or(allocation, recording, helper); err != nil {
		return nil, err
	}
	left.Attachments, left.Start = wire.AllocatedAttachmentsToProto(allocated), true
	return left, nil
}

// prepare has a helper begin with what needs no networks, and returns what is left to
// be told by Bootstrap: all, where its runtime waits for that.
func (l Launcher) prepare(ctx context.Context, c Container, h runtimehelper.Helper, layers []string, attach bool) (*sandboxv1.BootstrapRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Grace)
	defer cancel()
	r := l.bootstrapRequest(c, h, layers)
	r.AwaitAttach = attach
	_, err := h.Client.Prepare(ctx, &sandboxv1.PrepareRequest{Container: r})
	switch {
	case errors.Is(err, errdefs.ErrNotImplemented):
		return r, nil
	case err != nil:
		return nil, h.Explain(c.Metadata.Name, l.Grace, err)
	}
	return &sandboxv1.BootstrapRequest{Id: r.GetId()}, nil
}

// makeDirectories makes sure of the directories: a power cut may have taken those of a
// container that was just created.
func (l Launcher) makeDirectories(c Container) error {
	directory := l.Roots.Container(c.Metadata.ID)
	if err := disk.Make(directory, c.Configuration.Mounts); err != nil {
		return err
	}
	if !c.Configuration.AutoRemove {
		return nil
	}
	return disk.MarkStarted(directory)
}

// unmark undoes what makeDirectories does to make a removal due.
func (l Launcher) unmark(c Container) {
	if c.Configuration.AutoRemove {
		disk.UnmarkStarted(l.Roots.Container(c.Metadata.ID))
	}
}

// startHelper starts a helper and waits until it answers. What there is of it is
// returned with an error too.
func (l Launcher) startHelper(ctx context.Context, c Container, plugin manifest.Plugin) (runtimehelper.Helper, error) {
	ctx, span := trace.Start(ctx, "get a runtime helper")
	h, err := l.Programs.Start(ctx, c.Metadata.ID, plugin)
	span.End(err)
	if err != nil {
		return h, c.errorf(wire.Kind(err), "%w", err)
	}
	return h, nil
}

// bootstrap makes the sandbox and starts the main process.
func (l Launcher) bootstrap(ctx context.Context, c Container, h runtimehelper.Helper, r *sandboxv1.BootstrapRequest) (made Launched, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	answer, err := h.Client.Bootstrap(ctx, r)
	if err != nil {
		return made, hostport.Explain(c.Metadata.Name, c.Configuration.Ports, h.Explain(c.Metadata.Name, l.Grace, err))
	}
	attachments, err := wire.AttachmentsFromProto(answer.GetAttachments())
	if err != nil {
		return made, c.errorf(wire.Kind(err), "runtime %s: %w", c.Configuration.Runtime, err)
	}
	startedAt := answer.GetStartedAt()
	if startedAt == nil { // a runtime that leaves it to us
		started, err := h.Client.Start(ctx, &sandboxv1.StartRequest{})
		if err != nil {
			return made, h.Explain(c.Metadata.Name, l.Grace, err)
		}
		startedAt = started.GetStartedAt()
	}
	if err := os.Remove(filepath.Join(l.Roots.Container(c.Metadata.ID), disk.ExitFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.Log.Warn("cannot remove an old exit file", "container", c.Metadata.ID, "error", err)
	}
	return Launched{
		Helper: h, PID: int(answer.GetPid()), StartedAt: startedAt.AsTime(), Attachments: attachments, Errand: answer.GetErrand(),
		Answer: resource.StartedContainer{StdioSocket: answer.GetStdioSocket(), Warnings: answer.GetWarnings()},
	}, nil
}

// dismiss ends a helper that is of no use, and takes away what it leaves.
func (l Launcher) dismiss(ctx context.Context, c Container, h runtimehelper.Helper) {
	l.Programs.Dismiss(ctx, c.Metadata.ID, h)
	if h.Client != nil {
		h.Client.Close()
	}
}

// Release gives all leases of a container up, with forget also what is reserved
// for it.
func (l Launcher) Release(ctx context.Context, c leases.Container, forget bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Grace)
	defer cancel()
	if err := leases.Release(ctx, l.Networks, c, forget); err != nil {
		l.Log.Warn("cannot release a lease", "container", c.ID, "error", err)
	}
}
