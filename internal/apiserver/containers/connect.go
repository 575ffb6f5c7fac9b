package containers

import (
	"context"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/wiring"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Connect puts a container on one more network: at once if it runs, else when it
// starts. The interface gets the lowest free name if the wish has none, and keeps
// it. All or nothing. It returns the network's answer, without addresses if the
// container does not run, and what the user should know.
func (s *Service) Connect(ctx context.Context, name string, wish resource.AttachmentConfiguration) (resource.Attachment, []string, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.Attachment{}, nil, err
	}
	change, done, err := s.claimChange(ctx, e)
	if err != nil {
		return resource.Attachment{}, nil, err
	}
	defer done()
	wish, found, err := s.checker.CheckOneMore(e.Config().Runtime, e.Config().Networks, wish)
	if err != nil {
		return resource.Attachment{}, nil, err
	}
	network := found.Networks[0]
	release, err := s.config.Networks.Use([]string{network.ID})
	if err != nil {
		return resource.Attachment{}, nil, err
	}
	defer release()
	made, err := change.Connect(ctx, wish)
	made.Network = network.Name
	if err == nil {
		report.Change(s.config.Events, e.Reported(), event.ActionConnect, event.AttributeNetwork, network.Name)
	}
	return made, found.Warnings, err
}

// Disconnect takes a container off the network of a name or id, or that of an
// interface of it: at once if it runs. With force it does so even if the
// runtime helper does not answer, which then keeps the interface until its end.
// Once begun it goes on without its caller.
func (s *Service) Disconnect(ctx context.Context, name, network string, force bool) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	change, done, err := s.claimChange(ctx, e)
	if err != nil {
		return err
	}
	defer done()
	place, err := wiring.Find(s.config.Networks, change.Container, network)
	if err != nil {
		return err
	}
	release, err := s.config.Networks.Use([]string{e.Config().Networks[place].Network})
	if err != nil {
		return err
	}
	defer release()
	left, err := s.config.Networks.Resolve(e.Config().Networks[place].Network)
	if err != nil {
		return err
	}
	if err := change.Disconnect(ctx, place, force); err != nil {
		return err
	}
	report.Change(s.config.Events, e.Reported(), event.ActionDisconnect, event.AttributeNetwork, left.Name)
	return nil
}

// claimChange is claim for a change of a container's networks.
func (s *Service) claimChange(ctx context.Context, e *entry) (c wiring.Change, done func(), err error) {
	r, done, err := s.claim(ctx, e)
	if err != nil {
		return wiring.Change{}, nil, err
	}
	return s.change(e, r), done, nil
}

// claim makes what is done to a container the only change of it, and keeps the
// container from being started or deleted until done is called. A change,
// an end or a deletion that is under way is waited for; who starts a container
// is not, for it waits for others. Without a run it does not run.
func (s *Service) claim(ctx context.Context, e *entry) (r *run, done func(), err error) {
	for {
		r, wait, err := s.tryChange(e)
		if err != nil {
			return nil, nil, err
		}
		if wait == nil {
			return r, func() { s.endChange(e) }, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// tryChange claims a change, or says what is to be waited for.
func (s *Service) tryChange(e *entry) (r *run, wait <-chan struct{}, err error) {
	ending := disk.ReadExit(s.config.Roots.Sandbox(e.ID())) != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	r = e.run
	switch {
	case !s.index.Has(e):
		return nil, nil, e.Errorf(errdefs.ErrNotFound, "not found: it was just deleted")
	case s.draining || s.closed:
		return nil, nil, e.Errorf(errdefs.ErrUnavailable, "cannot be changed: patchbayd is shutting down")
	case e.deletion != nil || e.deleting || e.released:
		return nil, nil, e.Errorf(errdefs.ErrFailedPrecondition, "is being deleted")
	case e.change != nil:
		return nil, e.change, nil
	case r != nil && r.state == resource.ContainerStarting:
		return nil, nil, e.Errorf(errdefs.ErrFailedPrecondition, "is starting: it can be changed when it runs")
	case r != nil && (ending || r.outcome != nil || r.state != resource.ContainerRunning || r.Process == nil):
		return nil, r.ended, nil
	}
	if left := s.left.Of(e.ID()); r == nil && left != nil {
		return nil, left, nil
	}
	e.change = make(chan struct{})
	return r, nil, nil
}

func (s *Service) endChange(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(e.change)
	e.change = nil
}

// change is a change of a container's networks that has been claimed; without a
// run it does not run.
func (s *Service) change(e *entry, r *run) wiring.Change {
	c := wiring.Change{
		Container:      e.Wishes(),
		Networks:       s.config.Networks,
		Store:          e.PutNetworks,
		Roomy:          s.config.Records.Roomy,
		Timeout:        s.config.GraceTimeout,
		SandboxTimeout: s.config.ChangeTimeout,
		Log:            s.config.Log,
	}
	if r == nil {
		return c
	}
	c.Sandbox = r.Client
	c.Explain = func(err error) error { return s.explain(e, r, err) }
	c.Applied = func(attachments []resource.Attachment) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.attachments = attachments
	}
	c.Ended = func() bool {
		select {
		case <-r.Process.Done():
			return true
		default:
			return disk.ReadExit(s.config.Roots.Sandbox(e.ID())) != nil
		}
	}
	return c
}
