package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/internal/registry"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Pull fetches an image from its registry, unpacks it and gives it the name
// it was asked for by. The platform is "os/architecture[/variant]", empty for
// the host's. What arrived before an interruption is not fetched again.
// progress may be nil; it is not called by two at once.
func (s *Service) Pull(ctx context.Context, ref, platform string, progress func(Progress)) (resource.Image, error) {
	name, err := catalog.ParseName(ref)
	if err != nil {
		return resource.Image{}, err
	}
	want, err := document.ParsePlatform(platform)
	if err != nil {
		return resource.Image{}, err
	}
	r := newReporter(progress)
	r.report(Progress{Step: resource.TransferResolve})
	image, err := s.pull(ctx, name.Complete, want, r)
	if err != nil {
		return resource.Image{}, fmt.Errorf("image %s: %w", catalog.Familiar(name.Complete), err)
	}
	return image, nil
}

func (s *Service) pull(ctx context.Context, name string, want v1.Platform, r *reporter) (resource.Image, error) {
	source, err := s.hubs.ForPull(ctx, name)
	if err != nil {
		return resource.Image{}, err
	}
	found, err := source.Manifest(ctx)
	if err != nil {
		return resource.Image{}, err
	}
	c := &candidate{platform: &want, names: []string{name}}
	c.fetch = func(ctx context.Context, d v1.Descriptor, r *reporter) error { return s.fetchBlob(ctx, source, d, r) }
	if found.MediaType.IsIndex() {
		c.indexDigest = found.Digest.String()
		if found, err = chooseRemote(ctx, source, found.Manifest, want); err != nil {
			return resource.Image{}, err
		}
	}
	c.manifest, c.mediaType = found.Manifest, found.MediaType
	return s.addOne(event.ActionPull, func(hold *catalog.Hold) (catalog.Addition, error) { return s.bring(ctx, hold, c, r) })
}

// chooseRemote fetches the manifest that an index has for a platform.
func chooseRemote(ctx context.Context, source *registry.Image, index []byte, want v1.Platform) (*remote.Descriptor, error) {
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return nil, fmt.Errorf("index: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	d, err := document.Choose(parsed, want)
	if err != nil {
		return nil, err
	}
	return source.ManifestOf(ctx, d.Digest)
}

// attempts are how often a blob is asked for when the connection breaks.
const attempts = 3

// fetchBlob brings one blob into the store. A broken connection is taken up
// again where it broke.
func (s *Service) fetchBlob(ctx context.Context, source *registry.Image, d v1.Descriptor, r *reporter) error {
	download := imagestore.Download{
		Digest: digest.Digest(d.Digest.String()),
		Size:   d.Size,
		Open: func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			return source.OpenBlob(ctx, d, offset)
		},
		Progress: r.meter(d.Digest.String(), resource.TransferDownload, d.Size),
	}
	pause := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		fetched, err := s.store.Fetch(ctx, download)
		if err == nil && !fetched {
			r.report(Progress{ID: d.Digest.String(), Step: resource.TransferPresent, Current: d.Size, Total: d.Size})
		}
		if err == nil || ctx.Err() != nil || !isBroken(err) {
			return err
		}
		if attempt == attempts {
			return source.Unavailable(err)
		}
		select {
		case <-time.After(pause):
			pause *= 5
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isBroken tells whether the registry or the way to it failed, not the content
// or the disk.
func isBroken(err error) bool {
	return errdefs.IsUnavailable(err) || errors.Is(err, io.ErrUnexpectedEOF)
}
