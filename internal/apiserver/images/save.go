package images

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/imagearchive"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
)

// Save writes images into one archive. Format and compression default to an
// OCI layout without compression. A reference is saved with that name, a digest
// without any.
func (s *Service) Save(ctx context.Context, w io.Writer, names []string, format resource.ArchiveFormat, compression resource.Compression) error {
	if len(names) == 0 {
		return fmt.Errorf("images to save: want at least one: %w", errdefs.ErrInvalidArgument)
	}
	write := imagearchive.WriteDocker
	switch format {
	case resource.ArchiveDocker:
	case "", resource.ArchiveOCI:
		write = func(w io.Writer, list []*imagearchive.Saved) error { return imagearchive.WriteLayout(w, s.store, list) }
	default:
		return fmt.Errorf("archive format %q: want %q or %q: %w", format, resource.ArchiveOCI, resource.ArchiveDocker, errdefs.ErrInvalidArgument)
	}
	hold := s.catalog.Hold()
	defer hold.Release()
	list, err := s.takeAll(hold, names)
	if err != nil {
		return err
	}
	compressed, err := imagestore.Compress(contextWriter{ctx, w}, compression)
	if err != nil {
		return err
	}
	if err := write(compressed, list); err != nil {
		return err
	}
	return compressed.Close()
}

// takeAll finds images and has hold keep them, each once, in the order of names.
func (s *Service) takeAll(hold *catalog.Hold, names []string) ([]*imagearchive.Saved, error) {
	var list []*imagearchive.Saved
	byDigest := map[string]*imagearchive.Saved{}
	for _, n := range names {
		record, name, err := hold.Take(n)
		if err != nil {
			return nil, err
		}
		image := byDigest[record.Configuration.Digest]
		if image == nil {
			if image, err = s.saved(record); err != nil {
				return nil, err
			}
			byDigest[record.Configuration.Digest] = image
			list = append(list, image)
		}
		if name != "" {
			image.Names = append(image.Names, name)
		}
	}
	return list, nil
}

func (s *Service) saved(r catalog.Record) (*imagearchive.Saved, error) {
	content, err := s.open(r, nil)
	if err != nil {
		return nil, err
	}
	return &imagearchive.Saved{
		Digest:    r.Configuration.Digest,
		MediaType: r.Configuration.MediaType,
		Platform:  r.Configuration.Platform,
		Blobs:     r.Blobs,
		Content:   content,
	}, nil
}

// contextWriter ends with its context.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
