package containers

import (
	"context"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/stored"
	"patchbay.dev/patchbay/internal/apiserver/containers/waits"
	"patchbay.dev/patchbay/resource"
)

// Known returns all containers, the youngest first, with as much of their status
// as is known without asking their helpers.
func (s *Service) Known() []resource.Container {
	entries := s.all()
	out := make([]resource.Container, len(entries))
	for i, e := range entries {
		known, _, _ := s.known(e)
		out[i] = known.Value
	}
	return out
}

// Get returns one container, with the traffic of its attachments.
func (s *Service) Get(ctx context.Context, name string) (resource.Container, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.Container{}, err
	}
	return s.withTraffic(ctx, e), nil
}

// stateLocked is the state as far as this service knows it. Service.mu is held.
func (s *Service) stateLocked(e *entry) resource.ContainerState {
	switch r := e.run; {
	case r == nil && e.last == nil:
		return resource.ContainerCreated
	case r == nil:
		return resource.ContainerStopped
	case r.state == resource.ContainerRunning && r.stops > 0:
		return resource.ContainerStopping
	default:
		return r.state
	}
}

// EachKept calls f with each container that is not being deleted, in no order. None comes or
// goes meanwhile: f must not call the service.
func (s *Service) EachKept(f func(*stored.Container)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.index.All() {
		if !e.deleting {
			f(e.Container)
		}
	}
}

// Logs calls f with what the main process wrote, this run's and earlier ones'.
// It follows until the container ends.
func (s *Service) Logs(ctx context.Context, name string, q resource.LogQuery, f func(resource.LogEntry) error) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	var end <-chan struct{}
	if q.Follow {
		end = s.runEnd(e)
		var cancel context.CancelFunc
		ctx, cancel = s.waits.Bound(ctx)
		defer cancel()
	}
	return s.waits.Explain(disk.ReadLog(ctx, s.config.Roots.ContainerLog(e.ID()), q, end, f))
}

// runEnd is closed when the container's present run has ended, if there is one.
func (s *Service) runEnd(e *entry) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.run != nil {
		return e.run.ended
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Wait returns when a container does not run, or with deleted when it is gone,
// and says how its last run ended.
func (s *Service) Wait(ctx context.Context, name string, deleted bool) (resource.ContainerExit, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.ContainerExit{}, err
	}
	event := s.runEnd(e)
	if deleted {
		event = e.gone
	}
	select {
	case <-event:
	case <-ctx.Done():
		return resource.ContainerExit{}, ctx.Err()
	case <-s.waits.Ended():
		return resource.ContainerExit{}, waits.ErrGoingDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.last.Told(), nil
}
