package containers

import (
	"context"
	"os"
	"sync"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/trace"
)

// watch waits for the end of a run and takes away what it leaves. It ends early
// when the service is closed: the next patchbayd takes over then.
func (s *Service) watch(e *entry, r *run) {
	if r.Process != nil && !s.programs.Follow(s.life, e.id(), r.Helper, r.told.Hear) {
		return
	}
	s.finish(e, r)
}

// finish takes away what a run leaves, in an order in which the next patchbayd
// can go on wherever this one dies.
func (s *Service) finish(e *entry, r *run) {
	defer s.programs.Busy()()
	ctx, span := trace.Start(r.cause.Context(), "take away what is left of the run")
	defer span.End(nil)
	directory := s.config.Roots.Sandbox(e.id())
	last := status.Last(r.Helper, directory)
	s.mu.Lock()
	last.StartedAt = r.startedAt
	deleted := r.deleted
	removing := e.config().AutoRemove && !r.keep && !deleted
	r.removing, r.outcome = removing, last
	quiet := e.change == nil // else it may still be recorded anew
	s.mu.Unlock()

	// Only now the plugins know that the streams are gone, whatever happened.
	var parallel sync.WaitGroup
	if !deleted {
		parallel.Go(func() { s.release(ctx, e, removing) })
	}
	if removing && quiet {
		parallel.Go(func() { _ = s.unrecord(ctx, e) }) // if it fails, the removal tries again
	}
	s.programs.CleanUp(e.id(), r.Helper)
	if !removing && !deleted {
		parallel.Wait()
		if err := disk.WriteExit(s.config.Roots.Container(e.id()), *last); err != nil {
			s.config.Log.Error("cannot keep how a container ended", "container", e.id(), "error", err)
		}
	}
	if err := os.RemoveAll(directory); err != nil {
		s.config.Log.Error("cannot remove the directory of a runtime helper", "container", e.id(), "error", err)
	}
	if removing && s.endedUnseen(e) {
		if err := disk.Empty(s.config.Roots.Container(e.id())); err != nil {
			s.config.Log.Warn("cannot empty the directory of a container", "container", e.id(), "error", err)
		}
	}
	parallel.Wait()
	s.endRun(e, r, last)
	if removing {
		if err := s.remove(ctx, e); err != nil {
			s.config.Log.Error("cannot remove a container that has ended", "container", e.id(), "error", err)
		}
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
