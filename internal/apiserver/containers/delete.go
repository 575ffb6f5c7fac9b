package containers

import (
	"context"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// deletion is one attempt to delete a container.
type deletion struct {
	done chan struct{}
	err  error // set before done is closed
}

func newDeletion() *deletion { return &deletion{done: make(chan struct{})} }

// Delete removes a container, its writable layer, its volumes and its log, and
// gives up its reservations. One that runs is refused, unless force kills it.
// Once begun it goes on without its caller. A crash leaves a container that does not
// run, or files of none, which the next patchbayd removes.
func (s *Service) Delete(ctx context.Context, name string, force bool) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	return s.delete(ctx, e, force)
}

func (s *Service) delete(ctx context.Context, e *entry, force bool) error {
	if err := s.settle(ctx, e); err != nil {
		return err
	}
	if force {
		ctx = context.WithoutCancel(ctx)
		s.mu.Lock()
		if e.run != nil {
			e.run.deleted = true // it is this call that removes it
		}
		s.mu.Unlock()
		if err := s.stop(ctx, e, 0); err != nil {
			return err
		}
	}
	return s.remove(ctx, e)
}

// remove deletes a container that does not run. Who comes second waits for the
// first.
func (s *Service) remove(ctx context.Context, e *entry) error {
	s.mu.Lock()
	for e.change != nil { // it takes a bounded time, unless it is a copy
		if e.copying {
			s.mu.Unlock()
			return e.Errorf(errdefs.ErrFailedPrecondition, "files are being copied in or out of it: wait for that, or end it")
		}
		s.mu.Unlock()
		s.awaitChange(e)
		s.mu.Lock()
	}
	if !s.index.Has(e) {
		s.mu.Unlock()
		return nil
	}
	if e.run != nil {
		state := s.stateLocked(e)
		s.mu.Unlock()
		return e.Errorf(errdefs.ErrFailedPrecondition, "is %s: stop it first, or delete it by force", state)
	}
	if d := e.deletion; d != nil {
		s.mu.Unlock()
		<-d.done
		return d.err
	}
	d := newDeletion()
	e.deletion = d
	s.mu.Unlock()
	return s.carryOut(ctx, e, d, func() error {
		if left := s.left.Of(e.ID()); left != nil {
			<-left
		}
		return e.OfFiles(disk.Remove(s.config.Roots, e.ID()))
	})
}

// awaitChange waits for a change of a container that is under way.
func (s *Service) awaitChange(e *entry) {
	s.mu.Lock()
	change := e.change
	s.mu.Unlock()
	if change != nil {
		<-change
	}
}

// carryOut carries out a deletion that has been claimed, by files those of the container.
func (s *Service) carryOut(ctx context.Context, e *entry, d *deletion, files func() error) error {
	gone, err := s.purge(ctx, e, files)
	s.mu.Lock()
	d.err, e.deletion = err, nil
	s.mu.Unlock()
	if gone {
		report.Change(s.config.Events, e.Reported(), event.ActionDelete)
		s.forget(e)
	}
	close(d.done)
	return err
}

// purge takes away all that a container is. It is gone when its record is, also if a
// file of it cannot be removed then. It goes on when ctx ends.
func (s *Service) purge(ctx context.Context, e *entry, files func() error) (gone bool, err error) {
	ctx, span := trace.Start(context.WithoutCancel(ctx), "remove the container")
	defer span.EndBy(&err)
	if err := s.unrecord(ctx, e); err != nil {
		return false, err
	}
	s.mu.Lock()
	e.deleting = true
	released := e.released
	s.mu.Unlock()
	var parallel sync.WaitGroup
	if !released {
		parallel.Go(func() { s.release(ctx, e, true) })
	}
	err = files()
	parallel.Wait()
	return true, err
}

// unrecord deletes the record of a container, if there still is one. From then on the next patchbayd removes
// whatever else is left of it.
func (s *Service) unrecord(ctx context.Context, e *entry) error {
	return e.Delete(ctx, func() error { return disk.Empty(s.config.Roots.Container(e.ID())) })
}

// settle waits for what is left of a run whose main process or helper has ended: who
// learned of that must not be told that it still runs.
func (s *Service) settle(ctx context.Context, e *entry) error {
	s.mu.Lock()
	r := e.run
	began := r != nil && r.state != resource.ContainerStarting
	over := began && r.outcome != nil
	s.mu.Unlock()
	if !began || !over && !status.IsOver(r.Helper, s.config.Roots.Sandbox(e.ID())) {
		return nil
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// needRun returns the run of a container whose main process can be reached.
func (s *Service) needRun(e *entry) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := e.run; r != nil && r.state == resource.ContainerRunning && r.Process != nil {
		return r, nil
	}
	return nil, e.Errorf(errdefs.ErrFailedPrecondition, "is not running: it is %s", s.stateLocked(e))
}

// isRunning reports whether there is a run, in whatever state.
func (s *Service) isRunning(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.run != nil
}
