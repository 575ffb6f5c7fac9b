// Package parts carries copies over RPC streams: an archive in messages.
package parts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy"
)

// Size is how much of an archive goes into one message.
const Size = 256 << 10

// Send sends what is at a path of a tree: what it is, its archive, and the names of
// what was left out.
func Send(ctx context.Context, t *treecopy.Tree, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	item, err := t.Item(path, follow)
	if err != nil {
		return err
	}
	defer item.Close()
	if err := send(&typesv1.CopyPart{Source: SourceToProto(item.Source)}); err != nil {
		return err
	}
	w := NewWriter(send)
	leftOut, err := item.Pack(ctx, w)
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil || len(leftOut) == 0 {
		return err
	}
	return send(&typesv1.CopyPart{LeftOut: leftOut})
}

// Receive unpacks an archive that comes in parts to a path of a tree. It returns the
// names of what was left out.
func Receive(ctx context.Context, t *treecopy.Tree, to string, keep bool, receive func() (*typesv1.CopyPart, error)) ([]string, error) {
	r, source, err := Open(receive)
	if err != nil {
		return nil, err
	}
	leftOut, err := t.Unpack(ctx, r, to, treecopy.Arrival{Source: source, Keep: keep})
	if err != nil {
		return nil, err
	}
	// What follows the archive's end: padding, and what was left out.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	return append(r.LeftOut, leftOut...), nil
}

// Forward passes parts on until there are no more (io.EOF).
func Forward(receive func() (*typesv1.CopyPart, error), send func(*typesv1.CopyPart) error) error {
	for {
		part, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(part); err != nil {
			return err
		}
	}
}

// Upload is Forward to a server that may give up before it has all: that ends the
// sending without an error, and its answer tells why.
func Upload(receive func() (*typesv1.CopyPart, error), send func(*typesv1.CopyPart) error) error {
	err := Forward(receive, func(part *typesv1.CopyPart) error {
		if send(part) != nil {
			return errGivenUp
		}
		return nil
	})
	if errors.Is(err, errGivenUp) {
		return nil
	}
	return err
}

var errGivenUp = errors.New("the server has given up")

// After returns receive, preceded by a part that has come already.
func After(first *typesv1.CopyPart, receive func() (*typesv1.CopyPart, error)) func() (*typesv1.CopyPart, error) {
	return func() (*typesv1.CopyPart, error) {
		if next := first; next != nil {
			first = nil
			return next, nil
		}
		return receive()
	}
}

// maxLeftOut is how many names of what was left out a side may tell: more than
// either tells that is ours.
const maxLeftOut = 1000

// Reader reads the archive of a copy.
type Reader struct {
	LeftOut []string // when all is read
	receive func() (*typesv1.CopyPart, error)
	left    []byte
}

// Open begins with a copy: it returns what its source is; nil for an archive as it
// is.
func Open(receive func() (*typesv1.CopyPart, error)) (*Reader, *treecopy.Source, error) {
	first, err := receive()
	if err != nil {
		return nil, nil, err
	}
	r := &Reader{LeftOut: first.GetLeftOut(), receive: receive, left: first.GetData()}
	if first.GetSource() == nil {
		return r, nil, nil
	}
	s := first.GetSource()
	return r, &treecopy.Source{Name: s.GetName(), Directory: s.GetDirectory(), Contents: s.GetContents()}, nil
}

// Read reads the archive.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		part, err := r.receive()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // readers compare it
		}
		if err != nil {
			return 0, err
		}
		r.left = part.GetData()
		if len(r.LeftOut)+len(part.GetLeftOut()) > maxLeftOut {
			return 0, fmt.Errorf("copy: tells more than %d names of what is left out: %w", maxLeftOut, errdefs.ErrInvalidArgument)
		}
		r.LeftOut = append(r.LeftOut, part.GetLeftOut()...)
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// NewWriter returns a writer that sends an archive in parts. It is to be flushed.
func NewWriter(send func(*typesv1.CopyPart) error) *bufio.Writer {
	return bufio.NewWriterSize(sender(send), Size)
}

type sender func(*typesv1.CopyPart) error

func (s sender) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), Size)
		if err := s(&typesv1.CopyPart{Data: rest[:n]}); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// SourceToProto converts what is copied.
func SourceToProto(s treecopy.Source) *typesv1.CopySource {
	return &typesv1.CopySource{Name: s.Name, Directory: s.Directory, Contents: s.Contents}
}
