package containers

import (
	"cmp"
	"context"
	"errors"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/launch"
	"patchbay.dev/patchbay/internal/apiserver/containers/request"
	"patchbay.dev/patchbay/resource"
)

// Run is Create and Start at once: the record is written beside what comes before the
// sandbox. On an error, and when ctx ends before it returns, there is no container; nor is
// there when patchbayd dies before, unless it runs.
func (s *Service) Run(ctx context.Context, r resource.Run) (resource.StartedContainer, error) {
	checked := &request.Request{ID: cmp.Or(r.ID, resource.NewID()), Name: r.Name, Labels: r.Labels, Template: r.Template}
	n, err := s.admit(ctx, checked)
	if err != nil {
		return resource.StartedContainer{}, err
	}
	defer n.release()
	started, err := s.startNew(ctx, n, r.Attach)
	if err == nil && ctx.Err() != nil {
		err = n.Errorf(errdefs.ErrAborted, "start was aborted")
	}
	if err == nil {
		err = disk.UnmarkNewcomer(s.config.Roots, n.ID())
	}
	if err != nil {
		return resource.StartedContainer{}, errors.Join(err, s.takeBack(ctx, n))
	}
	started.Warnings = append(checked.Warnings, started.Warnings...)
	return started, nil
}

func (s *Service) startNew(ctx context.Context, n newcomer, attach bool) (resource.StartedContainer, error) {
	if err := s.reserve(ctx, n.entry); err != nil {
		return resource.StartedContainer{}, err
	}
	return s.start(ctx, n.entry, launch.Start{
		Attach: attach,
		Record: func(ctx context.Context) error {
			if err := disk.MarkNewcomer(s.config.Roots, n.ID()); err != nil {
				return n.Errorf(fault.KindOfFile(err), "%w", err)
			}
			return s.record(ctx, n)
		},
	})
}

// takeBack deletes a container that was not to be.
func (s *Service) takeBack(ctx context.Context, n newcomer) error {
	s.mu.Lock()
	hidden := n.creating
	s.mu.Unlock()
	if !hidden {
		return s.delete(ctx, n.entry, true)
	}
	s.drop(ctx, n.entry)
	return nil
}
