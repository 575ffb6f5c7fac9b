package containers

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/sample"
	"patchbay.dev/patchbay/resource"
)

// Stats says what containers have used, in the order of their names; without names
// what all have that run, the youngest first. Names that are unknown or do not run
// are errors, all of them at once, unless those that run are wanted only. A
// helper that hangs costs its own container's sample, and the caller the
// StatsTimeout.
func (s *Service) Stats(ctx context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error) {
	asked, err := s.counted(names, runningOnly)
	if err != nil {
		return nil, err
	}
	var out []resource.ContainerStats
	var faults []error
	for i, answer := range sample.All(ctx, asked, s.config.StatsTimeout) {
		switch {
		case answer != nil:
			out = append(out, *answer)
		case len(names) > 0 && !runningOnly:
			faults = append(faults, containerErrorf(asked[i].Name, errdefs.ErrFailedPrecondition, "is not running: it has just ended"))
		}
	}
	return out, errors.Join(faults...)
}

// counted are the containers that are to be asked for.
func (s *Service) counted(names []string, runningOnly bool) (out []sample.Container, err error) {
	if len(names) == 0 {
		for _, e := range s.all() {
			if r, err := s.needRun(e); err == nil {
				out = append(out, sample.Container{ID: e.id(), Name: e.name(), Helper: r.helper()})
			}
		}
		return out, nil
	}
	var faults []error
	for _, name := range names {
		e, err := s.find(name)
		var r *run
		if err == nil {
			r, err = s.needRun(e)
		}
		switch {
		case err == nil && slices.ContainsFunc(out, func(c sample.Container) bool { return c.ID == e.id() }):
		case err == nil:
			out = append(out, sample.Container{ID: e.id(), Name: e.name(), Helper: r.helper()})
		case runningOnly && (errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err)):
		default:
			faults = append(faults, err)
		}
	}
	return out, errors.Join(faults...)
}

// withTraffic describes a container, and asks for the traffic of its attachments at
// the same time. A helper that does not tell it costs no more than its status.
func (s *Service) withTraffic(ctx context.Context, e *entry) resource.Container {
	var traffic []resource.AttachmentTraffic
	var asking sync.WaitGroup
	if r, err := s.needRun(e); err == nil {
		asking.Go(func() {
			answer, err := sample.One(ctx, r.helper(), s.config.StatusTimeout)
			if err == nil {
				traffic = answer.Attachments
			}
		})
	}
	c := s.describe(ctx, e)
	asking.Wait()
	if len(c.Status.Attachments) > 0 { // it has not ended meanwhile
		c.Status.Traffic = traffic
	}
	return c
}
