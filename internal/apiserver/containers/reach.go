package containers

import (
	"context"
	"sync"

	"patchbay.dev/patchbay/internal/apiserver/containers/reach"
	"patchbay.dev/patchbay/resource"
)

// reachable is the containers of a service as reach.Calls wants them.
type reachable struct{ *Service }

var _ reach.Containers = reachable{}

// FindRunning implements reach.Containers.
func (s reachable) FindRunning(name string) (reach.Running, error) {
	e, err := s.find(name)
	if err != nil {
		return reach.Running{}, err
	}
	r, err := s.needRun(e)
	if err != nil {
		return reach.Running{}, err
	}
	return s.reaching(e, r), nil
}

// AllRunning implements reach.Containers.
func (s reachable) AllRunning() []reach.Running {
	var all []reach.Running
	for _, e := range s.all() {
		if r, err := s.needRun(e); err == nil {
			all = append(all, s.reaching(e, r))
		}
	}
	return all
}

// Waiting implements reach.Containers.
func (s reachable) Waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return s.waits.Bound(ctx)
}

// GoingDown implements reach.Containers.
func (s reachable) GoingDown(err error) error { return s.waits.Explain(err) }

func (s *Service) reaching(e *entry, r *run) reach.Running {
	return reach.Running{
		ID: e.ID(), Name: e.Name(), Process: e.Config().Process, Helper: r.Helper,
		Explain: func(err error) error { return s.explain(e, r, err) },
	}
}

// withTraffic describes a container, and asks for the traffic of its attachments at
// the same time. A helper that does not tell it costs no more than its status.
func (s *Service) withTraffic(ctx context.Context, e *entry) resource.Container {
	var traffic []resource.AttachmentTraffic
	var asking sync.WaitGroup
	if r, err := s.needRun(e); err == nil {
		asking.Go(func() { traffic = s.reaching(e, r).Traffic(ctx, s.config.StatusTimeout) })
	}
	c := s.describe(ctx, e)
	asking.Wait()
	if len(c.Status.Attachments) > 0 { // it has not ended meanwhile
		c.Status.Traffic = traffic
	}
	return c
}
