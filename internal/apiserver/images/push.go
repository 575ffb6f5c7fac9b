package images

import (
	"cmp"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/resource"
)

// Push uploads an image to the registry that destination names, or its own
// name if that is empty, and returns the digest of its manifest. Blobs that the
// registry has are not sent. progress may be nil; it is not called by two at
// once.
func (s *Service) Push(ctx context.Context, ref, destination string, progress func(Progress)) (digest string, err error) {
	target, err := catalog.ParseTag(cmp.Or(destination, ref))
	if err != nil {
		return "", err
	}
	hold := s.catalog.Hold()
	defer hold.Release()
	record, _, err := hold.Take(ref)
	if err != nil {
		return "", err
	}
	r := newReporter(progress)
	r.report(Progress{Step: resource.TransferResolve})
	image, err := s.open(record, func(d v1.Descriptor) func(int64) {
		return r.meter(d.Digest.String(), resource.TransferUpload, d.Size)
	})
	if err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	place, err := s.hubs.ForPush(ctx, target)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	if err := place.Push(ctx, image); err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	r.report(Progress{ID: record.Configuration.Digest, Step: resource.TransferDone})
	return record.Configuration.Digest, nil
}
