package containers

import (
	"context"
	"slices"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/apiserver/containers/waits"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
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

// Count returns how many containers run and how many do not.
func (s *Service) Count() (running, stopped int) { return status.Count(s.Known()) }

// Instances returns the running helpers of each runtime plugin.
func (s *Service) Instances() map[string][]resource.PluginInstance {
	out := map[string][]resource.PluginInstance{}
	for _, c := range s.Known() {
		if runtime, pid := c.Configuration.Runtime, c.Status.HelperPID; pid != 0 {
			one := resource.PluginInstance{Resource: c.Name, PID: pid, State: string(resource.ContainerRunning)}
			out[runtime] = append(out[runtime], one)
		}
	}
	return out
}

// ContainersOn returns the names of the containers configured for a network.
func (s *Service) ContainersOn(networkID string) []string {
	return s.namesOf(func(e *entry) bool {
		return slices.ContainsFunc(e.Config().Networks, func(w resource.AttachmentConfiguration) bool { return w.Network == networkID })
	})
}

// ContainersUsing returns the names of the containers made from the image with
// a digest.
func (s *Service) ContainersUsing(digest string) []string {
	return s.namesOf(func(e *entry) bool { return e.Config().ImageDigest == digest })
}

func (s *Service) namesOf(match func(*entry) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.Names(func(e *entry) bool { return !e.deleting && match(e) })
}

// Reservations returns the static addresses of the containers on a network.
func (s *Service) Reservations(networkID string) []pluginwire.Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []pluginwire.Reservation
	for e := range s.index.All() {
		c := e.Wishes()
		for _, w := range c.Wishes {
			if w.Network == networkID && w.Static() && !e.deleting {
				out = append(out, c.Reservation(w))
			}
		}
	}
	return out
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
