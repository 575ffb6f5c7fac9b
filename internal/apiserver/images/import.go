package images

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Import makes an image of one layer, for the host's platform, out of a root file
// system archive: a tar archive, plain or compressed with gzip or zstd. The layer
// is the archive as it comes.
func (s *Service) Import(ctx context.Context, r io.Reader, ref string, run resource.ImageRunConfiguration) (resource.Image, error) {
	name, err := catalog.ParseTag(ref)
	if err != nil {
		return resource.Image{}, err
	}
	if err := run.Validate(); err != nil {
		return resource.Image{}, err
	}
	image, err := s.importLayer(ctx, r, name, run)
	if err != nil {
		return resource.Image{}, fmt.Errorf("image %s: %w", catalog.Familiar(name), err)
	}
	return image, nil
}

func (s *Service) importLayer(ctx context.Context, r io.Reader, name string, run resource.ImageRunConfiguration) (resource.Image, error) {
	spooled, err := s.store.Spool(ctx, r)
	if err != nil {
		return resource.Image{}, err
	}
	defer func() { s.warn(spooled.Discard()) }()
	if spooled.Size == 0 {
		return resource.Image{}, fmt.Errorf("archive: is empty: want a tar archive: %w", errdefs.ErrInvalidArgument)
	}
	compression, err := spooled.Compression()
	if err != nil {
		return resource.Image{}, fmt.Errorf("archive: %w", imagestore.ArchiveError("", "", err))
	}
	return s.addOne(event.ActionImport, func(hold *catalog.Hold) (catalog.Addition, error) {
		hold.Pin(catalog.Content{Blobs: []string{spooled.Digest.String()}})
		if err := spooled.Commit(); err != nil {
			return catalog.Addition{}, err
		}
		// The layer is not pinned until its record is made, so it may be made twice.
		layer, err := s.store.Unpack(ctx, imagestore.Unpacking{Blob: spooled.Digest})
		if err != nil {
			return catalog.Addition{}, err
		}
		c, err := s.describe(document.Layer{Digest: spooled.Digest, Size: spooled.Size, Compression: compression, DiffID: layer.DiffID}, run)
		if err != nil {
			return catalog.Addition{}, err
		}
		c.names = []string{name}
		return s.bring(ctx, hold, c, newReporter(nil))
	})
}

// describe writes the documents of an image of one layer, which is in the store.
func (s *Service) describe(layer document.Layer, run resource.ImageRunConfiguration) (*candidate, error) {
	manifest, config, err := document.Write(layer, run)
	if err != nil {
		return nil, err
	}
	fetch := func(_ context.Context, d v1.Descriptor, _ *reporter) error {
		if d.MediaType.IsConfig() {
			_, err := s.store.WriteBlob(config)
			return err
		}
		return nil // the layer is there, pinned
	}
	return &candidate{manifest: manifest, fetch: fetch}, nil
}
