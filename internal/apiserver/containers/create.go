package containers

import (
	"context"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/request"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Create stores a container made from an image that is present, and reserves
// its static addresses. An empty name is made up. All or nothing. All that is
// wrong with a request is told at once; the kind of the error is
// errdefs.ErrInvalidArgument if any of it is a fault of form.
func (s *Service) Create(ctx context.Context, name string, labels map[string]string, t resource.ContainerTemplate) (resource.Container, []string, error) {
	r := &request.Request{ID: resource.NewID(), Name: name, Labels: labels, Template: t}
	n, err := s.admit(ctx, r)
	if err != nil {
		return resource.Container{}, nil, err
	}
	defer n.release()
	if err := s.store(ctx, n); err != nil {
		s.drop(ctx, n.entry)
		return resource.Container{}, nil, err
	}
	return s.describe(ctx, n.entry), r.Warnings, nil
}

// newcomer is a container that nobody hears of before its record is written.
type newcomer struct {
	*entry
	release func() // to be called when what it names is no longer to be kept for it
}

// admit checks a request and enters the container that is made from it.
func (s *Service) admit(ctx context.Context, r *request.Request) (n newcomer, err error) {
	if err := trace.Do(ctx, "check the request", func(ctx context.Context) error { return s.checker.Check(ctx, r) }); err != nil {
		return n, err
	}
	if n.release, err = s.checker.Use(r); err != nil {
		return n, err
	}
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { n.release(); return nil })
	stored, err := r.Record()
	if err != nil {
		return n, err
	}
	if n.entry, err = s.enter(stored); err != nil {
		return n, err
	}
	undo.Success()
	return n, nil
}

// enter makes a container that is being created known, with its host ports chosen.
func (s *Service) enter(stored record.Container) (*entry, error) {
	s.choosing.Lock()
	defer s.choosing.Unlock()
	ports, err := s.choosePorts(stored.Configuration.Ports)
	if err != nil {
		return nil, err
	}
	stored.Configuration.Ports = ports
	return s.claimName(stored)
}

// claimName enters a container that is being created, so that nobody else gets
// its name and its reservations are known to a plugin that restarts meanwhile.
func (s *Service) claimName(stored record.Container) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored.Name == "" {
		stored.Name = resource.MakeUpName(s.index.IsTaken)
	}
	e := s.newEntry(stored)
	e.creating = true
	if err := s.index.Add(e); err != nil {
		return nil, err
	}
	return e, nil
}

// store reserves the static addresses, makes the container's directory and
// stores its record, in this order: a crash leaves what Resume and the
// plugins' next Start take away.
func (s *Service) store(ctx context.Context, n newcomer) error {
	if err := s.reserve(ctx, n.entry); err != nil {
		return err
	}
	if err := disk.Make(s.config.Roots.Container(n.ID()), n.Config().Mounts); err != nil {
		return n.Errorf(fault.KindOfFile(err), "%w", err)
	}
	return s.record(ctx, n)
}

// reserve sets the static addresses of a container aside.
func (s *Service) reserve(ctx context.Context, e *entry) error {
	if !leases.AnyStatic(e.Config().Networks) {
		return nil
	}
	return leases.Reserve(ctx, s.config.Networks, e.Wishes())
}

// record writes the record of a new container, which makes it one for everybody.
func (s *Service) record(ctx context.Context, n newcomer) error {
	if err := n.Put(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	n.creating = false
	report.Change(s.config.Events, n.Reported(), event.ActionCreate)
	s.mu.Unlock()
	n.release()
	return nil
}

// drop takes away what there is of a container that has no record, and forgets it.
func (s *Service) drop(ctx context.Context, e *entry) {
	if leases.AnyStatic(e.Config().Networks) {
		s.release(ctx, e, true)
	}
	if err := disk.Remove(s.config.Roots, e.ID()); err != nil {
		s.config.Log.Error("cannot remove the files of a container", "container", e.ID(), "error", err)
	}
	s.forget(e)
}

// forget takes a container out of memory and tells those who wait for that.
func (s *Service) forget(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.Remove(e)
	close(e.gone)
}
