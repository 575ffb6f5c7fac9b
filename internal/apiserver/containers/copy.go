package containers

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/treecopy/parts"
	"patchbay.dev/patchbay/internal/wire"
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
	stream, err := r.Client.CopyFrom(ctx, &sandboxv1.CopyFromRequest{Path: path, Follow: follow})
	if err != nil {
		return s.copyFault(e, r, err)
	}
	defer func() { _ = stream.Close() }() // all is read, or nobody wants it
	err = parts.Forward(func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}, send)
	return s.copyFault(e, r, err)
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
	ctx, cancel := context.WithCancel(ctx) // so that the helper hears it where the sender fails
	defer cancel()
	stream, err := r.Client.CopyTo(ctx)
	if err != nil {
		return nil, s.copyFault(e, r, err)
	}
	request := &sandboxv1.CopyToRequest{Path: path, KeepOwners: keepOwners}
	if err := parts.Upload(receive, func(part *typesv1.CopyPart) error {
		request.Part = part
		err := stream.Send(request)
		request = &sandboxv1.CopyToRequest{}
		return err
	}); err != nil {
		return nil, err
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return nil, s.copyFault(e, r, err)
	}
	return answer.GetLeftOut(), nil
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
	h, err := s.launcher.Open(ctx, e.launchable())
	done = func() {
		s.programs.Dismiss(ctx, e.id(), h)
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

// copyFault says in which container a path is that an error names.
func (s *Service) copyFault(e *entry, r *run, err error) error {
	switch {
	case err == nil:
		return nil
	case fault.IsConnection(err):
		return s.explain(e, r, err)
	}
	return e.errorf(wire.Kind(err), "%w", err)
}
