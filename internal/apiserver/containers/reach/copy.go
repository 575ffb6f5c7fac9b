package reach

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/treecopy/parts"
	"patchbay.dev/patchbay/internal/wire"
)

// CopyFrom sends the parts of a copy of what is at a path.
func (r Running) CopyFrom(ctx context.Context, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	stream, err := r.Helper.Client.CopyFrom(ctx, &sandboxv1.CopyFromRequest{Path: path, Follow: follow})
	if err != nil {
		return r.copyFault(err)
	}
	defer func() { _ = stream.Close() }() // all is read, or nobody wants it
	err = parts.Forward(func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}, send)
	return r.copyFault(err)
}

// CopyTo unpacks a copy, of which receive returns the parts, to a path. It returns the
// names of what was left out.
func (r Running) CopyTo(ctx context.Context, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) (leftOut []string, err error) {
	ctx, cancel := context.WithCancel(ctx) // so that the helper hears it where the sender fails
	defer cancel()
	stream, err := r.Helper.Client.CopyTo(ctx)
	if err != nil {
		return nil, r.copyFault(err)
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
		return nil, r.copyFault(err)
	}
	return answer.GetLeftOut(), nil
}

// copyFault says in which container a path is that an error names.
func (r Running) copyFault(err error) error {
	switch {
	case err == nil:
		return nil
	case fault.IsConnection(err):
		return r.Explain(err)
	}
	return r.errorf(wire.Kind(err), "%w", err)
}
