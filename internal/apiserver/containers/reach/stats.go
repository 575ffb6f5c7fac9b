package reach

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Stats says what containers have used, in the order of their names; without names
// what all have that run, the youngest first. Names that are unknown or do not run
// are errors, all of them at once, unless those that run are wanted only. A
// helper that hangs costs its own container's sample, and the caller the
// StatsTimeout.
func (c Calls) Stats(ctx context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error) {
	asked, err := c.counted(names, runningOnly)
	if err != nil {
		return nil, err
	}
	var out []resource.ContainerStats
	var faults []error
	for i, answer := range samples(ctx, asked, c.StatsTimeout) {
		switch {
		case answer != nil:
			out = append(out, *answer)
		case len(names) > 0 && !runningOnly:
			faults = append(faults, asked[i].errorf(errdefs.ErrFailedPrecondition, "is not running: it is "+string(resource.ContainerStopped)))
		}
	}
	return out, errors.Join(faults...)
}

// counted are the containers that are to be asked for.
func (c Calls) counted(names []string, runningOnly bool) (out []Running, err error) {
	if len(names) == 0 {
		return c.Containers.AllRunning(), nil
	}
	var faults []error
	for _, name := range names {
		r, err := c.Containers.FindRunning(name)
		switch {
		case err == nil && slices.ContainsFunc(out, func(known Running) bool { return known.ID == r.ID }):
		case err == nil:
			out = append(out, r)
		case runningOnly && (errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err)):
		default:
			faults = append(faults, err)
		}
	}
	return out, errors.Join(faults...)
}

// Traffic asks for that of the container's attachments, within a time; nil when
// its helper does not tell.
func (r Running) Traffic(ctx context.Context, within time.Duration) []resource.AttachmentTraffic {
	s, err := r.sample(ctx, within)
	if err != nil {
		return nil
	}
	return s.Attachments
}
