package containers

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/aftermath"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
)

// watch waits for the end of a run and takes away what it leaves. It ends early
// when the service is closed: the next patchbayd takes over then.
func (s *Service) watch(e *entry, r *run) {
	var left *aftermath.Aftermath
	hear := func(state *sandboxv1.StateResponse) {
		r.told.Hear(state)
		if left == nil && r.told.Ended() != nil {
			left = s.leave(e, r)
		}
	}
	gone := r.Process == nil || s.programs.Follow(s.life, e.id(), r.Helper, hear)
	switch {
	case gone && left == nil: // nobody has said so
		left = s.leave(e, r)
	case left == nil:
		return
	}
	defer left.Finish()
	if gone {
		s.finish(e, r, left)
	}
}

// leave begins to take away what needs no helper to be gone: the leases, which one that
// has told of the end does not hold any more, and the record. The end of the helper
// itself, beside it, takes the kernel some milliseconds.
func (s *Service) leave(e *entry, r *run) *aftermath.Aftermath {
	left := aftermath.Begin(r.cause.Context(), e.id(), r.Helper, s.programs)
	left.Last = r.told.Ended()
	if left.Last == nil {
		left.Last = status.Last(r.Helper, s.config.Roots.Sandbox(e.id()))
	}
	s.mu.Lock()
	left.Last.StartedAt = r.startedAt
	left.Deleted = r.deleted
	left.Removing = e.config().AutoRemove && !r.keep && !left.Deleted
	r.removing, r.outcome = left.Removing, left.Last
	quiet := e.change == nil // else it may still be recorded anew
	s.mu.Unlock()

	if !left.Deleted {
		left.Beside(func(ctx context.Context) { s.release(ctx, e, left.Removing) })
	}
	if left.Removing && quiet {
		left.Beside(func(ctx context.Context) { _ = s.unrecord(ctx, e) }) // if it fails, the removal tries again
	}
	return left
}

// finish takes away what is left when the helper is gone.
func (s *Service) finish(e *entry, r *run, left *aftermath.Aftermath) {
	left.Files(func() bool { return s.endedUnseen(e) })
	s.endRun(e, r, left.Last)
	if !left.Removing {
		return
	}
	if err := s.remove(left.Context(), e); err != nil {
		s.config.Log.Error("cannot remove a container that has ended", "container", e.id(), "error", err)
	}
}

// endRun lets go of a run. A nil last keeps what is known of the run before.
func (s *Service) endRun(e *entry, r *run, last *disk.Exit) {
	if r.Client != nil {
		r.Client.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last != nil {
		e.last = last
		report.End(s.config.Events, e.described(), *last, r.stops > 0)
	}
	e.run = nil
	e.released = r.removing
	close(r.ended)
}

// release gives all leases of a container up, with forget also what is reserved
// for it.
func (s *Service) release(ctx context.Context, e *entry, forget bool) {
	s.launcher.Release(ctx, e.wishes(), forget)
}
