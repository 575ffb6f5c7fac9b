package containers

import (
	"context"
	"slices"

	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// List returns the containers, the youngest first: those that run, or all. Helpers
// tell what changes by themselves, and their deaths are seen. Asked are a few, in turn:
// nothing else shows that one does not answer any more. Where there are more than a
// few, a later list shows it.
func (s *Service) List(ctx context.Context, all bool) ([]*snapshot.Of[resource.Container], error) {
	entries := s.all()
	described := make([]*snapshot.Of[resource.Container], len(entries))
	helpers := make([]inturn.Candidate, len(entries))
	for i, e := range entries {
		described[i], _, helpers[i] = s.known(e)
	}
	s.rounds.Ask(helpers, func(i int) { described[i] = &snapshot.Of[resource.Container]{Value: s.describe(ctx, entries[i])} },
		func(i int) { s.describe(s.life, entries[i]) })
	return slices.DeleteFunc(described, func(c *snapshot.Of[resource.Container]) bool {
		return status.HasEnded(c.Value.Status.State) && !all
	}), nil
}

func (s *Service) describe(ctx context.Context, e *entry) resource.Container {
	known, r, _ := s.known(e)
	now := known.Value
	if r != nil {
		now.Status = s.ask(ctx, e, r, now.Status)
	}
	return now
}

// known says what is known of a container without asking anybody, and returns the
// run whose helper can be asked for more, if there is one.
func (s *Service) known(e *entry) (*snapshot.Of[resource.Container], *run, inturn.Candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	configuration := e.Shared()
	now, r, helper := s.statusLocked(e, configuration)
	return e.shown.Describe(e.Described(), configuration, now), r, helper
}

// statusLocked is known without what does not change by itself. Service.mu is held.
func (s *Service) statusLocked(e *entry, configuration *resource.ContainerConfiguration) (resource.ContainerStatus, *run, inturn.Candidate) {
	r, last := e.run, e.last
	if r != nil && r.outcome != nil {
		r, last = nil, r.outcome
	}
	if r == nil {
		return status.Ended(last), nil, inturn.Candidate{Skip: true}
	}
	known := resource.ContainerStatus{State: s.stateLocked(e)}
	if r.state == resource.ContainerRunning {
		known.StartedAt, known.Attachments, known.Ports = r.startedAt, r.attachments, configuration.Ports
	}
	if known.State == resource.ContainerStarting || r.Process == nil {
		return known, nil, inturn.Candidate{Skip: true}
	}
	known.HelperPID = r.Process.PID()
	known, helper := r.told.Complete(known, r.Process.Done())
	return known, r, helper
}

// ask completes what is known by what the helper says. One that hangs costs the
// StatusTimeout.
func (s *Service) ask(ctx context.Context, e *entry, r *run, known resource.ContainerStatus) resource.ContainerStatus {
	ctx, cancel := context.WithTimeout(ctx, s.config.StatusTimeout)
	defer cancel()
	return r.told.Remember(status.Ask(ctx, r.Helper, s.config.Roots.Sandbox(e.ID()), known))
}
