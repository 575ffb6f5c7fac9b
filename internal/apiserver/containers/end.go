package containers

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/aftermath"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
)

// watch waits for the end of a run and takes away what it leaves. Callers hear of the end
// when its helper has told that and nothing of the run is in the way of others, or is waited for by who
// wants it; nobody waits for the helper's own end, which takes the kernel some milliseconds. It ends early when the
// service is closed: the next patchbayd takes over then.
func (s *Service) watch(e *entry, r *run) {
	var left *aftermath.Aftermath
	hear := func(state *sandboxv1.StateResponse) {
		s.hearStart(r, state)
		r.told.Hear(state)
		if left == nil && r.told.Ended() != nil {
			left = s.leave(e, r)
			left.Then(func() { s.conclude(e, r, left) })
		}
	}
	gone := r.Process == nil || s.programs.Follow(s.life, e.ID(), r.Helper, hear)
	switch {
	case gone && left == nil: // nobody has said so, and it has taken nothing down
		left = s.leave(e, r)
		left.CleanUp()
		left.Then(func() { s.conclude(e, r, left) })
	case left == nil:
		return
	}
	defer left.Finish()
	if gone {
		left.Files(e.Deleted)
	}
}

// hearStart takes in since when a container runs, which a patchbayd that took over knows from its
// helper alone.
func (s *Service) hearStart(r *run, state *sandboxv1.StateResponse) {
	at := state.GetStartedAt()
	if at == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.startedAt = at.AsTime()
}

// leave begins to take away what others could want: the leases, which a helper that
// has told of the end does not hold any more, and the record. Leases that a network lets its callers
// wait for are given up when the end has been told.
func (s *Service) leave(e *entry, r *run) *aftermath.Aftermath {
	left := s.left.Begin(r.cause.Context(), e.ID(), r.Helper)
	left.Last = s.lastOf(e, r)
	s.mu.Lock()
	left.Deleted = r.deleted
	left.Removing = e.Config().AutoRemove && !r.keep && !left.Deleted
	r.removing, r.outcome = left.Removing, left.Last
	quiet := e.change == nil // else it may still be recorded anew
	s.mu.Unlock()

	if !left.Deleted {
		s.releaseBehind(e, left)
	}
	if left.Removing && quiet {
		left.Beside(func(ctx context.Context) { _ = s.unrecord(ctx, e) }) // if it fails, the removal tries again
	}
	return left
}

// lastOf says how a run has ended: as its helper told, as an earlier patchbayd kept it when it
// took the rest away, which a start removes, or as the helper left it.
func (s *Service) lastOf(e *entry, r *run) *disk.Exit {
	s.mu.Lock()
	startedAt := r.startedAt
	s.mu.Unlock()
	last := r.told.Ended()
	if last == nil {
		if kept := disk.ReadExit(s.config.Roots.Container(e.ID())); kept != nil && kept.ExitedAt.After(startedAt) {
			return kept
		}
		last = status.Last(r.Helper, s.config.Roots.Sandbox(e.ID()))
	}
	last.StartedAt = startedAt
	return last
}

// conclude ends a run of which others want nothing any more, and lets the container go if it
// is to: what is on the disk of it goes with the rest.
func (s *Service) conclude(e *entry, r *run, left *aftermath.Aftermath) {
	left.Keep()
	d := s.endRun(e, r, left.Last)
	if d == nil {
		return
	}
	s.awaitChange(e)
	if err := s.carryOut(left.Context(), e, d, func() error { return nil }); err != nil {
		s.config.Log.Error("cannot remove a container that has ended", "container", e.ID(), "error", err)
	}
}

// endRun lets go of a run. A nil last keeps what is known of the run before. The removal of
// a container that is removed when it ends is claimed in the same step, and returned.
func (s *Service) endRun(e *entry, r *run, last *disk.Exit) (claimed *deletion) {
	if r.Client != nil {
		r.Client.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last != nil {
		e.last = last
		report.End(s.config.Events, e.Reported(), *last, r.stops > 0)
	}
	e.run = nil
	e.released = r.removing
	if r.removing {
		claimed = newDeletion()
		e.deletion = claimed
	}
	close(r.ended)
	return claimed
}

// release gives all leases of a container up, with forget also what is reserved
// for it.
func (s *Service) release(ctx context.Context, e *entry, forget bool) {
	s.launcher.Release(ctx, e.Wishes(), forget)
}

// releaseBehind gives all leases of a run up: before its end is told those by which the host has something
// back, and the others after that.
func (s *Service) releaseBehind(e *entry, left *aftermath.Aftermath) {
	soon, late, done := leases.Part(s.config.Networks, e.Wishes())
	forget := left.Removing
	if len(soon.Wishes) > 0 {
		left.Beside(func(ctx context.Context) { s.launcher.Release(ctx, soon, forget) })
	}
	left.After(func(ctx context.Context) {
		defer done()
		s.launcher.Release(ctx, late, forget)
	})
}
