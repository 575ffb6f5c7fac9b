package images

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagearchive"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Load reads all images of a docker-archive or OCI layout archive, plain or
// compressed with gzip or zstd. The reference, if any, names an image that
// brings no name. Either all images are loaded or none is.
func (s *Service) Load(ctx context.Context, r io.Reader, ref string) ([]resource.Image, error) {
	var fallback string
	if ref != "" {
		p, err := catalog.ParseName(ref)
		if err != nil {
			return nil, err
		}
		fallback = p.Complete
	}
	archive, err := imagearchive.Read(ctx, s.store, r)
	if err != nil {
		return nil, err
	}
	defer func() { s.warn(archive.Discard()) }()
	candidates, err := candidatesOf(archive)
	if err != nil {
		return nil, err
	}
	if err := nameAll(candidates, fallback); err != nil {
		return nil, err
	}
	return s.add(event.ActionLoad, func(hold *catalog.Hold) ([]catalog.Addition, error) {
		return s.bringAll(ctx, hold, candidates)
	})
}

// candidatesOf finds what is for the host in an archive.
func candidatesOf(archive *imagearchive.Archive) ([]*candidate, error) {
	host, err := document.ParsePlatform("")
	if err != nil {
		return nil, err
	}
	list, err := archive.Images(func(index *v1.IndexManifest) (v1.Descriptor, error) { return document.Choose(index, host) })
	if err != nil {
		return nil, err
	}
	candidates := make([]*candidate, len(list))
	for i, image := range list {
		candidates[i] = &candidate{
			manifest:    image.Manifest,
			mediaType:   image.MediaType,
			indexDigest: image.IndexDigest,
			fetch:       func(_ context.Context, d v1.Descriptor, _ *reporter) error { return image.Commit(d) },
		}
		for _, name := range image.Names {
			p, err := catalog.ParseName(name)
			if err != nil {
				return nil, fmt.Errorf("archive: %w", err)
			}
			candidates[i].names = append(candidates[i].names, p.Complete)
		}
	}
	return candidates, nil
}

// bringAll brings images, one after the other.
func (s *Service) bringAll(ctx context.Context, hold *catalog.Hold, candidates []*candidate) ([]catalog.Addition, error) {
	report := newReporter(nil)
	var additions []catalog.Addition
	for _, c := range candidates {
		addition, err := s.bring(ctx, hold, c, report)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", cmp.Or(catalog.FamiliarList(c.names), "of the archive"), err)
		}
		additions = append(additions, addition)
	}
	return additions, nil
}

// nameAll gives the one image that brings no name the fallback.
func nameAll(candidates []*candidate, fallback string) error {
	var nameless []*candidate
	for _, c := range candidates {
		if len(c.names) == 0 {
			nameless = append(nameless, c)
		}
	}
	if fallback == "" || len(nameless) == 0 {
		return nil
	}
	if len(nameless) > 1 {
		return fmt.Errorf("archive: has %d images without a name: want one to be named %s: %w",
			len(nameless), catalog.Familiar(fallback), errdefs.ErrInvalidArgument)
	}
	nameless[0].names = []string{fallback}
	return nil
}
