package images

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/internal/imagearchive"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Load reads all images of a docker-archive or OCI layout archive, plain or
// compressed with gzip or zstd. The reference, if any, names an image that
// brings no name. Either all images are loaded or none gets a name.
func (s *Service) Load(ctx context.Context, r io.Reader, ref string) ([]resource.Image, error) {
	var fallback string
	if ref != "" {
		p, err := parseReference(ref)
		if err != nil {
			return nil, err
		}
		fallback = p.name
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
	list, err := s.addAll(ctx, candidates)
	s.publishAll(event.ActionLoad, list...)
	return list, err
}

// candidatesOf finds what is for the host in an archive.
func candidatesOf(archive *imagearchive.Archive) ([]*candidate, error) {
	host, err := parsePlatform("")
	if err != nil {
		return nil, err
	}
	list, err := archive.Images(func(index *v1.IndexManifest) (v1.Descriptor, error) { return choose(index, host) })
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
			p, err := parseReference(name)
			if err != nil {
				return nil, fmt.Errorf("archive: %w", err)
			}
			candidates[i].names = append(candidates[i].names, p.name)
		}
	}
	return candidates, nil
}

// addAll adds images without their names and then gives them those.
func (s *Service) addAll(ctx context.Context, candidates []*candidate) ([]resource.Image, error) {
	report := newReporter(nil)
	for _, c := range candidates {
		names := c.names
		c.names = nil
		if _, err := s.add(ctx, c, report); err != nil {
			return nil, fmt.Errorf("image %s: %w", cmp.Or(familiarList(names), "of the archive"), err)
		}
		c.names = names
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []resource.Image
	for _, c := range candidates {
		record, ok := s.images.records[c.digest.String()]
		if !ok {
			return nil, fmt.Errorf("image %s: was deleted while it was loaded: %w", c.digest, errdefs.ErrAborted)
		}
		for _, name := range c.names {
			if err := s.images.setReference(name, c.digest.String()); err != nil {
				return nil, err
			}
		}
		list = append(list, s.images.image(record))
	}
	return slices.CompactFunc(list, func(a, b resource.Image) bool { return a.ID == b.ID }), nil
}

func familiarList(names []string) string {
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = familiar(n)
	}
	return strings.Join(short, ", ")
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
			len(nameless), familiar(fallback), errdefs.ErrInvalidArgument)
	}
	nameless[0].names = []string{fallback}
	return nil
}
