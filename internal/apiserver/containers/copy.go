package containers

import (
	"context"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// CopyFrom sends the parts of a copy of what is at a path of a container.
func (s *Service) CopyFrom(ctx context.Context, name, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	r, done, err := s.files(ctx, e)
	if err != nil {
		return err
	}
	defer done()
	return s.reaching(e, r).CopyFrom(ctx, path, follow, send)
}

// CopyTo unpacks a copy, of which receive returns the parts, to a path of a
// container. It returns the names of what was left out.
func (s *Service) CopyTo(ctx context.Context, name, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) (leftOut []string, err error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	r, done, err := s.files(ctx, e)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.reaching(e, r).CopyTo(ctx, path, keepOwners, receive)
}

// files returns a run whose helper can be asked for copies until done is called. Of
// a container that does not run it is one for that alone, and the container is
// neither started nor deleted meanwhile.
func (s *Service) files(ctx context.Context, e *entry) (r *run, done func(), err error) {
	if err := s.settle(ctx, e); err != nil {
		return nil, nil, err
	}
	if r, err := s.needRun(e); err == nil {
		select {
		case <-r.Process.Done(): // it is shown as stopped already
			select {
			case <-r.ended:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		default:
			return r, func() {}, nil
		}
	}
	claimed, release, err := s.claim(ctx, e)
	if err != nil || claimed != nil { // it has been started meanwhile
		return claimed, release, err
	}
	s.setCopying(e, true)
	h, err := s.launcher.Open(ctx, e.Launchable())
	done = func() {
		s.programs.Dismiss(ctx, e.ID(), h)
		s.setCopying(e, false)
		release()
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return &run{Helper: h}, done, nil
}

func (s *Service) setCopying(e *entry, copying bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.copying = copying
}
