package containers

import (
	"context"
	"os"
	"sync"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
)

// watch waits for the end of a run and takes away what it leaves. It ends early
// when the service is closed: the next patchbayd takes over then.
func (s *Service) watch(e *entry, r *run) {
	if r.process != nil && !s.awaitEnd(e, r) {
		return
	}
	s.finish(e, r)
}

// awaitEnd returns true when the helper is gone. One that stays after its main
// process has ended is killed.
func (s *Service) awaitEnd(e *entry, r *run) bool {
	for {
		_, err := r.client.Wait(s.life, &sandboxv1.WaitRequest{})
		if within(s.life, s.config.GraceTimeout, r.process.Done()) {
			return true
		}
		if s.life.Err() != nil {
			return false
		}
		if err == nil || disk.ReadExit(s.config.Roots.Sandbox(e.id())) != nil {
			s.config.Log.Warn("a runtime helper stays after its container has ended, and is killed", "container", e.id())
			r.process.Kill()
			return true
		}
		// No answer, yet alive: ask again.
	}
}

// finish takes away what a run leaves, in an order in which the next patchbayd
// can go on wherever this one dies.
func (s *Service) finish(e *entry, r *run) {
	directory := s.config.Roots.Sandbox(e.id())
	last := disk.ReadExit(directory)
	if last == nil {
		words := ""
		if r.process != nil {
			words = r.process.StderrTail()
		}
		died := disk.HelperDied(words)
		last = &died
	}
	s.mu.Lock()
	last.StartedAt = r.startedAt
	removing := e.config().AutoRemove && !r.keep
	r.removing = removing
	s.mu.Unlock()

	// Only now the plugins know that the streams are gone, whatever happened.
	var parallel sync.WaitGroup
	parallel.Go(func() { s.release(context.Background(), e, removing) })
	s.cleanUp(e.id(), r)
	if !removing {
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
		if err := s.remove(e); err != nil {
			s.config.Log.Error("cannot remove a container that has ended", "container", e.id(), "error", err)
		}
	}
}

// endRun lets go of a run. A nil last keeps what is known of the run before.
func (s *Service) endRun(e *entry, r *run, last *disk.Exit) {
	if r.client != nil {
		r.client.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last != nil {
		e.last = last
	}
	e.run = nil
	e.released = r.removing
	close(r.ended)
}

// cleanUp removes what a helper that did not end by itself leaves on the host.
func (s *Service) cleanUp(id string, r *run) {
	if r.process != nil && r.process.Clean() {
		return
	}
	if err := runtimehelper.CleanUp(s.config.Roots, id); err != nil {
		s.config.Log.Error("cannot clean up after a runtime helper", "container", id, "error", err)
	}
}

// dismiss ends a helper and takes away what it leaves, but for its leases.
func (s *Service) dismiss(ctx context.Context, id string, r *run) {
	if r.process != nil && (!r.ready || !s.shutDown(ctx, r)) {
		r.process.Kill()
	}
	s.cleanUp(id, r)
	if err := os.RemoveAll(s.config.Roots.Sandbox(id)); err != nil {
		s.config.Log.Error("cannot remove the directory of a runtime helper", "container", id, "error", err)
	}
}

// shutDown asks a helper to end and reports whether it has. One that has
// answered a bootstrap with an error ends unasked.
func (s *Service) shutDown(ctx context.Context, r *run) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.GraceTimeout)
	defer cancel()
	_, err := r.client.Shutdown(ctx, &sandboxv1.ShutdownRequest{})
	return (err == nil || fault.IsConnection(err)) && within(ctx, s.config.GraceTimeout, r.process.Done())
}

// release gives all leases of a container up, in parallel. What does not succeed is logged: the plugin frees a lease that nobody holds by
// itself, and is told what is reserved whenever it starts.
func (s *Service) release(ctx context.Context, e *entry, forget bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.GraceTimeout)
	defer cancel()
	var parallel sync.WaitGroup
	for i, w := range e.config().Networks {
		parallel.Go(func() {
			err := leases.UntilNotHeld(ctx, func() error {
				return s.config.Networks.Release(ctx, w.Network, leases.Key(e.id(), i), forget)
			})
			if err != nil {
				s.config.Log.Warn("cannot release a lease", "container", e.id(), "network", w.Network, "error", err)
			}
		})
	}
	parallel.Wait()
}
