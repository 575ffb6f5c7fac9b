package containers

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/launch"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// run is one run of a container, from the claim of its start until nothing of it is in
// the way of others. What is left of it then is Service.left.
type run struct {
	abort context.CancelFunc // ends a start in progress
	ended chan struct{}      // closed when nothing of it is in the way of others
	cause trace.Cause        // the call that started it, or is to end it

	// Helper is set before the state is running, then constant. Its process is nil if
	// it died while no patchbayd ran.
	runtimehelper.Helper

	// Guarded by Service.mu:
	state       resource.ContainerState // starting, running or stopping
	stops       int                     // calls of Stop at work
	aborted     bool                    // was told to abort its start too late to hear of it
	keep        bool                    // not to be removed when it ends
	deleted     bool                    // ends for the deletion of its container, which does the rest
	removing    bool                    // has ended and is removed, too late to keep it
	startedAt   time.Time
	attachments []resource.Attachment
	outcome     *disk.Exit // how it ended, while what others could want is given back

	told status.Told
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
	return s.start(ctx, e, launch.Start{Attach: attach})
}

func (s *Service) start(ctx context.Context, e *entry, o launch.Start) (resource.StartedContainer, error) {
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
	r.cause.Note(ctx)
	defer s.programs.Busy()()
	started, err := s.launch(ctx, e, r, o)
	if err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = e.Errorf(errdefs.ErrAborted, "start was aborted")
		}
		s.endRun(e, r, nil)
		return resource.StartedContainer{}, err
	}
	s.background(func() { s.watch(e, r) })
	if r.aborted {
		r.End(context.WithoutCancel(ctx), runtimehelper.Ending{Grace: s.config.GraceTimeout, Ended: r.ended})
		return resource.StartedContainer{}, e.Errorf(errdefs.ErrAborted, "start was aborted")
	}
	return started, nil
}

// awaitRun claims a run when a change of the container's networks is done, and nothing is
// left of the run before.
func (s *Service) awaitRun(ctx context.Context, e *entry, abort context.CancelFunc) (*run, error) {
	for {
		r, wait, err := s.claimRun(e, abort)
		if wait == nil {
			return r, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claimRun makes a start the only one of its container, or says what is to be waited for.
func (s *Service) claimRun(e *entry, abort context.CancelFunc) (r *run, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.index.Has(e):
		return nil, nil, e.Errorf(errdefs.ErrNotFound, "not found: it was just deleted")
	case s.draining || s.closed:
		return nil, nil, e.Errorf(errdefs.ErrUnavailable, "cannot start: patchbayd is shutting down")
	case e.deletion != nil || e.deleting || e.released:
		return nil, nil, e.Errorf(errdefs.ErrFailedPrecondition, "is being deleted")
	case e.change != nil: // or nobody knows yet whether what an earlier patchbayd left runs
		return nil, e.change, nil
	case e.run != nil:
		return nil, nil, e.Errorf(errdefs.ErrFailedPrecondition, "is already %s", s.stateLocked(e))
	}
	if left := s.left.Of(e.ID()); left != nil {
		return nil, left, nil
	}
	if err := s.portFaults(e); err != nil {
		return nil, nil, err
	}
	e.run = &run{state: resource.ContainerStarting, abort: abort, ended: make(chan struct{})}
	return e.run, nil, nil
}

// launch is the start itself. On an error nothing is left of it.
func (s *Service) launch(ctx context.Context, e *entry, r *run, o launch.Start) (resource.StartedContainer, error) {
	if err := s.checker.CheckStart(e.Config()); err != nil {
		return resource.StartedContainer{}, e.Errorf(errdefs.ErrFailedPrecondition, "%w", err)
	}
	made, err := s.launcher.Start(ctx, e.Launchable(), o)
	if err != nil {
		return resource.StartedContainer{}, err
	}
	if len(made.Errand) > 0 {
		s.background(func() { s.errands.Do(s.life, made.Runtime, made.Errand) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Helper, r.state, r.startedAt, r.attachments = made.Helper, resource.ContainerRunning, made.StartedAt, made.Attachments
	r.told.Began(made.PID)
	r.aborted = r.stops > 0 // who stops it from here on finds that it runs
	report.Change(s.config.Events, e.Reported(), event.ActionStart)
	made.Answer.ID = e.ID()
	return made.Answer, nil
}

// explain says why a call of a helper failed.
func (s *Service) explain(e *entry, r *run, err error) error {
	return r.Explain(e.Name(), s.config.GraceTimeout, err)
}
