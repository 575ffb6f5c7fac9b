package images

import (
	"cmp"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/resource"
)

// Push uploads an image to the registry that destination names, or its own
// name if that is empty, and returns the digest of its manifest. Blobs that the
// registry has are not sent. progress may be nil; it is not called by two at
// once.
func (s *Service) Push(ctx context.Context, ref, destination string, progress func(Progress)) (digest string, err error) {
	target, err := parseReference(cmp.Or(destination, ref))
	if err != nil {
		return "", err
	}
	if target.digest != "" {
		return "", fmt.Errorf("image name %q: want a name with a tag to push to, not with a digest: %w",
			cmp.Or(destination, ref), errdefs.ErrInvalidArgument)
	}
	record, release, err := s.take(ref)
	if err != nil {
		return "", err
	}
	defer release()
	r := newReporter(progress)
	r.report(Progress{Step: resource.TransferResolve})
	image, err := s.open(record, func(d v1.Descriptor) func(int64) {
		return r.meter(d.Digest.String(), resource.TransferUpload, d.Size)
	})
	if err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	place, err := s.hubs.ForPush(ctx, target.name)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	if err := place.Push(ctx, image); err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	r.report(Progress{ID: record.Configuration.Digest, Step: resource.TransferDone})
	return record.Configuration.Digest, nil
}

// take resolves a name and keeps its image from being removed until release.
func (s *Service) take(name string) (_ Record, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.images.resolve(name)
	if err != nil {
		return Record{}, nil, wanted(name, err)
	}
	return record, s.pin(pins{blobs: record.Blobs, layers: record.Layers}), nil
}
