package containers

import (
	"context"
	"os"
	"sync"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/trace"
)

// watch waits for the end of a run and takes away what it leaves. It ends early
// when the service is closed: the next patchbayd takes over then.
func (s *Service) watch(e *entry, r *run) {
	var leaving *leaving
	hear := func(state *sandboxv1.StateResponse) {
		r.told.Hear(state)
		if leaving == nil && r.told.Ended() != nil {
			leaving = s.leave(e, r)
		}
	}
	if r.Process != nil && !s.programs.Follow(s.life, e.id(), r.Helper, hear) {
		leaving.wait()
		return
	}
	if leaving == nil { // nobody has said so
		leaving = s.leave(e, r)
	}
	s.finish(e, r, leaving)
}

// leaving is a run that has ended, while what it leaves is taken away.
type leaving struct {
	last     *disk.Exit
	removing bool // the container goes too
	deleted  bool // somebody else takes the container away
	context  context.Context
	parallel sync.WaitGroup // at work on the leases and the record
	done     func()
}

// wait returns when the leases and the record are done with.
func (l *leaving) wait() {
	if l != nil {
		l.parallel.Wait()
		l.done()
	}
}

// leave begins to take away what needs no helper to be gone: leases, which it does not
// hold any more, and the record. It does so beside the end of the helper, which takes the
// kernel some milliseconds.
func (s *Service) leave(e *entry, r *run) *leaving {
	idle := s.programs.Busy()
	ctx, span := trace.Start(r.cause.Context(), "take away what is left of the run")
	l := &leaving{last: r.told.Ended(), context: ctx, done: func() { span.End(nil); idle() }}
	if l.last == nil {
		l.last = status.Last(r.Helper, s.config.Roots.Sandbox(e.id()))
	}
	s.mu.Lock()
	l.last.StartedAt = r.startedAt
	l.deleted = r.deleted
	l.removing = e.config().AutoRemove && !r.keep && !l.deleted
	r.removing, r.outcome = l.removing, l.last
	quiet := e.change == nil // else it may still be recorded anew
	s.mu.Unlock()

	if !l.deleted {
		l.parallel.Go(func() { s.release(ctx, e, l.removing) })
	}
	if l.removing && quiet {
		l.parallel.Go(func() { _ = s.unrecord(ctx, e) }) // if it fails, the removal tries again
	}
	return l
}

// finish takes away the rest of what a run leaves, in an order in which the next patchbayd
// can go on wherever this one dies.
func (s *Service) finish(e *entry, r *run, l *leaving) {
	directory := s.config.Roots.Sandbox(e.id())
	s.programs.CleanUp(e.id(), r.Helper)
	if !l.removing && !l.deleted {
		l.parallel.Wait()
		if err := disk.WriteExit(s.config.Roots.Container(e.id()), *l.last); err != nil {
			s.config.Log.Error("cannot keep how a container ended", "container", e.id(), "error", err)
		}
	}
	if err := os.RemoveAll(directory); err != nil {
		s.config.Log.Error("cannot remove the directory of a runtime helper", "container", e.id(), "error", err)
	}
	if l.removing && s.endedUnseen(e) {
		if err := disk.Empty(s.config.Roots.Container(e.id())); err != nil {
			s.config.Log.Warn("cannot empty the directory of a container", "container", e.id(), "error", err)
		}
	}
	l.parallel.Wait()
	s.endRun(e, r, l.last)
	if l.removing {
		if err := s.remove(l.context, e); err != nil {
			s.config.Log.Error("cannot remove a container that has ended", "container", e.id(), "error", err)
		}
	}
	l.done()
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
