package containers

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/hostport"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// run is one run of a container, from the claim of its start until nothing is
// left of it.
type run struct {
	abort context.CancelFunc // ends a start in progress
	ended chan struct{}      // closed when nothing is left

	// Set before the state is running, then constant:
	process *helper.Process // nil if it died while no patchbayd ran
	client  *client.Sandbox
	ready   bool // it has answered once
	moved   bool // it was on standby

	// Guarded by Service.mu:
	state       resource.ContainerState // starting, running or stopping
	stops       int                     // calls of Stop at work
	keep        bool                    // not to be removed when it ends
	removing    bool                    // has ended and is removed, too late to keep it
	startedAt   time.Time
	attachments []resource.Attachment
	outcome     *disk.Exit // how it ended, while what it leaves is taken away
}

func (r *run) helper() runtimehelper.Helper {
	return runtimehelper.Helper{Process: r.process, Client: r.client, Ready: r.ready}
}

// Start allocates on all networks, starts a runtime helper and the main process
// in it, and returns where its standard streams are reached. With attach, output
// is held back for a while until somebody is there. All or nothing: when ctx
// ends before, the start is undone.
func (s *Service) Start(ctx context.Context, name string, attach bool) (resource.StartedContainer, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.StartedContainer{}, err
	}
	return s.start(ctx, e, attach)
}

func (s *Service) start(ctx context.Context, e *entry, attach bool) (resource.StartedContainer, error) {
	if err := s.settle(ctx, e); err != nil {
		return resource.StartedContainer{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	r, err := s.awaitRun(ctx, e, cancel)
	if err != nil {
		return resource.StartedContainer{}, err
	}
	defer s.programs.Busy()()
	started, err := s.launch(ctx, e, r, attach)
	if err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = e.errorf(errdefs.ErrAborted, "start was aborted")
		}
		s.endRun(e, r, nil)
		return resource.StartedContainer{}, err
	}
	s.background(func() { s.watch(e, r) })
	return started, nil
}

// awaitRun claims a run when a change of the container's networks is done.
func (s *Service) awaitRun(ctx context.Context, e *entry, abort context.CancelFunc) (*run, error) {
	for {
		r, change, err := s.claimRun(e, abort)
		if change == nil {
			return r, err
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claimRun makes a start the only one of its container, unless a change of its
// networks is under way.
func (s *Service) claimRun(e *entry, abort context.CancelFunc) (r *run, change <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.entries[e.id()] != e:
		return nil, nil, e.errorf(errdefs.ErrNotFound, "not found: it was just deleted")
	case s.draining || s.closed:
		return nil, nil, e.errorf(errdefs.ErrUnavailable, "cannot start: patchbayd is shutting down")
	case e.deletion != nil || e.deleting || e.released:
		return nil, nil, e.errorf(errdefs.ErrFailedPrecondition, "is being deleted")
	case e.run != nil:
		return nil, nil, e.errorf(errdefs.ErrFailedPrecondition, "is already %s", s.stateLocked(e))
	case e.change != nil:
		return nil, e.change, nil
	}
	if err := s.portFaults(e); err != nil {
		return nil, nil, err
	}
	e.run = &run{state: resource.ContainerStarting, abort: abort, ended: make(chan struct{})}
	return e.run, nil, nil
}

// launch is the start itself. On an error nothing is left of it.
func (s *Service) launch(ctx context.Context, e *entry, r *run, attach bool) (started resource.StartedContainer, err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	plugin, err := s.config.Runtimes.Runtime(e.config().Runtime)
	if err != nil {
		return started, e.errorf(wire.Kind(err), "%w", err)
	}
	layers, err := s.config.Images.Layers(e.config().ImageDigest)
	if err != nil {
		return started, e.errorf(wire.Kind(err), "%w", err)
	}
	undo.Add(func() error { s.release(ctx, e, false); return nil })
	undo.Add(func() error { s.unmarkStarted(e); return nil })
	undo.Add(func() error { s.programs.Dismiss(ctx, e.id(), r.helper()); return nil })
	allocated, err := s.allocateAndStartHelper(ctx, e, r, plugin)
	if err != nil {
		return started, err
	}
	request := blueprint.Sandbox(s.config.Roots, e.metadata, e.config(), layers, allocated)
	if r.moved {
		request.StateDirectory = s.config.Roots.Sandbox(e.id())
	}
	request.AwaitAttach, request.Start = attach, true
	if started, err = s.bootstrap(ctx, e, r, request); err != nil {
		return started, err
	}
	undo.Success()
	return started, nil
}

// allocateAndStartHelper starts the helper while the networks allocate: it makes
// no sandbox before it is told to, and is mostly busy with its own beginning.
// A fault of a network comes before one of the helper.
func (s *Service) allocateAndStartHelper(ctx context.Context, e *entry, r *run, plugin manifest.Plugin) ([]resource.AllocatedAttachment, error) {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	var allocated []resource.AllocatedAttachment
	allocation := make(chan error, 1)
	go func() {
		var err error
		if allocated, err = leases.Allocate(ctx, s.config.Networks, e.wishes()); err != nil {
			cancel()
		}
		allocation <- err
	}()
	err := s.prepare(e)
	if err != nil {
		err = e.errorf(fault.KindOfFile(err), "%w", err)
	} else {
		err = s.startHelper(starting, e, r, plugin)
	}
	return allocated, cmp.Or(<-allocation, err)
}

// prepare makes sure of the directories: a power cut may have taken those of a
// container that was just created.
func (s *Service) prepare(e *entry) error {
	directory := s.config.Roots.Container(e.id())
	if err := disk.Make(directory, e.config().Mounts); err != nil {
		return err
	}
	if !e.config().AutoRemove {
		return nil
	}
	return os.WriteFile(filepath.Join(directory, disk.StartedFile), nil, 0o600)
}

// unmarkStarted undoes what prepare does to make a removal due.
func (s *Service) unmarkStarted(e *entry) {
	if e.config().AutoRemove {
		os.Remove(filepath.Join(s.config.Roots.Container(e.id()), disk.StartedFile))
	}
}

// startHelper starts the runtime helper and waits until it answers.
func (s *Service) startHelper(ctx context.Context, e *entry, r *run, plugin manifest.Plugin) error {
	h, err := s.programs.Start(ctx, e.id(), plugin)
	r.process, r.client, r.ready, r.moved = h.Process, h.Client, h.Ready, h.Moved
	if err != nil {
		return e.errorf(wire.Kind(err), "%w", err)
	}
	return nil
}

// bootstrap makes the sandbox and starts the main process.
func (s *Service) bootstrap(ctx context.Context, e *entry, r *run, request *sandboxv1.BootstrapRequest) (answer resource.StartedContainer, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	made, err := r.client.Bootstrap(ctx, request)
	if err != nil {
		return answer, hostport.Explain(e.name(), e.config().Ports, s.explain(e, r, err))
	}
	attachments, err := wire.AttachmentsFromProto(made.GetAttachments())
	if err != nil {
		return answer, e.errorf(wire.Kind(err), "runtime %s: %w", e.config().Runtime, err)
	}
	startedAt := made.GetStartedAt()
	if startedAt == nil { // a runtime that leaves it to us
		started, err := r.client.Start(ctx, &sandboxv1.StartRequest{})
		if err != nil {
			return answer, s.explain(e, r, err)
		}
		startedAt = started.GetStartedAt()
	}
	if err := os.Remove(filepath.Join(s.config.Roots.Container(e.id()), disk.ExitFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.config.Log.Warn("cannot remove an old exit file", "container", e.id(), "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.state = resource.ContainerRunning
	r.startedAt = startedAt.AsTime()
	r.attachments = attachments
	report.Change(s.config.Events, e.described(), event.ActionStart)
	return resource.StartedContainer{StdioSocket: made.GetStdioSocket(), Warnings: made.GetWarnings()}, nil
}

// explain says why a call of a helper failed. An answer is left as it is: its
// text begins with what the caller is to see. Without one the helper has died,
// and its own words count.
func (s *Service) explain(e *entry, r *run, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return e.errorf(errdefs.ErrUnavailable, "its runtime helper did not answer in time")
	}
	if !fault.IsConnection(err) {
		return err
	}
	if r.process != nil && runtimehelper.Within(context.Background(), s.config.GraceTimeout, r.process.Done()) {
		return e.errorf(errdefs.ErrUnavailable, "its runtime helper died: %s", r.process.Death())
	}
	return e.errorf(errdefs.ErrUnavailable, "its runtime helper does not answer: %w", err)
}
