package images

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/internal/registry"
	"patchbay.dev/patchbay/resource"
)

// candidate is an image that is to be added to the store.
type candidate struct {
	manifest    []byte
	mediaType   types.MediaType // if the manifest does not say
	indexDigest string
	platform    *v1.Platform // refuse the image if it is for another; nil: any
	names       []string     // complete
	// fetch brings a blob of the manifest into the store.
	fetch func(ctx context.Context, d v1.Descriptor, r *reporter) error
}

// add runs an operation that brings content into the store, and stores and names
// what it brought. It removes what a failed one left: all that nothing needs when
// the disk is full, and else the blobs that it pinned. After a mere interruption
// they are kept, so that the next try goes on from there.
func (s *Service) add(action string, bring func(h *catalog.Hold) ([]catalog.Addition, error)) ([]resource.Image, error) {
	hold := s.catalog.Hold()
	list, err := s.addHeld(action, hold, bring)
	own := hold.Blobs()
	hold.Release()
	switch {
	case err == nil, errdefs.IsUnavailable(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return list, err
	case errdefs.IsResourceExhausted(err):
		own = catalog.All
	}
	_, cleanErr := s.removeGarbage(own)
	s.warn(cleanErr)
	return nil, err
}

func (s *Service) addHeld(action string, hold *catalog.Hold, bring func(h *catalog.Hold) ([]catalog.Addition, error)) ([]resource.Image, error) {
	additions, err := bring(hold)
	if err != nil {
		return nil, err
	}
	return s.catalog.Add(action, additions...)
}

// addOne is add of one image.
func (s *Service) addOne(action string, bring func(h *catalog.Hold) (catalog.Addition, error)) (resource.Image, error) {
	list, err := s.add(action, func(h *catalog.Hold) ([]catalog.Addition, error) {
		addition, err := bring(h)
		return []catalog.Addition{addition}, err
	})
	if err != nil {
		return resource.Image{}, err
	}
	return list[0], nil
}

// warn logs that something was left in the store: the next start removes it.
func (s *Service) warn(err error) {
	if err != nil {
		s.log.Warn("cannot remove garbage from the image store", "error", err)
	}
}

// bring brings all of an image into the store, where hold keeps it, unpacks it and
// returns what is to be stored of it.
func (s *Service) bring(ctx context.Context, hold *catalog.Hold, c *candidate, r *reporter) (catalog.Addition, error) {
	manifest, err := document.Parse(c.manifest, c.mediaType)
	if err != nil {
		return catalog.Addition{}, err
	}
	hold.Pin(catalog.Content{Blobs: manifest.Blobs()})
	if _, err := s.store.WriteBlob(manifest.Raw); err != nil {
		return catalog.Addition{}, err
	}
	if err := c.fetch(ctx, manifest.Config, r); err != nil {
		return catalog.Addition{}, err
	}
	config, err := s.store.ReadBlob(digest.Digest(manifest.Config.Digest.String()), document.MaxSize)
	if err != nil {
		return catalog.Addition{}, err
	}
	image, err := manifest.WithConfig(config, c.platform)
	if err != nil {
		return catalog.Addition{}, err
	}
	hold.Pin(catalog.Content{Layers: image.Chains()})
	unpacked, err := s.bringLayers(ctx, c, image, r)
	if err != nil {
		return catalog.Addition{}, err
	}
	if err := s.store.Sync(); err != nil {
		return catalog.Addition{}, err
	}
	record := newRecord(image)
	record.Configuration.IndexDigest, record.UnpackedBytes = c.indexDigest, unpacked
	return catalog.Addition{Record: record, Names: c.names}, nil
}

// newRecord makes the stored form of an image.
func newRecord(i *document.Image) catalog.Record {
	created := i.File.Created.UTC()
	if created.IsZero() {
		created = time.Now().UTC()
	}
	return catalog.Record{
		Configuration: i.Configuration(),
		CreatedAt:     created,
		Blobs:         i.Blobs(),
		Layers:        i.Chains(),
		SizeBytes:     i.Size(),
	}
}

// bringLayers fetches some layers at once and unpacks them from the lowest
// up as they arrive. It returns the bytes of all files.
func (s *Service) bringLayers(ctx context.Context, c *candidate, i *document.Image, r *reporter) (unpacked int64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(registry.AtOnce + 1)
	arrived := make([]chan struct{}, len(i.Layers))
	for n := range arrived {
		arrived[n] = make(chan struct{})
	}
	group.Go(func() error {
		unpacked, err = s.unpackLayers(ctx, i, arrived, r)
		return err
	})
	for n, d := range i.Layers {
		group.Go(func() error {
			if err := c.fetch(ctx, d, r); err != nil {
				return err
			}
			close(arrived[n])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return unpacked, nil
}

func (s *Service) unpackLayers(ctx context.Context, i *document.Image, arrived []chan struct{}, r *reporter) (int64, error) {
	var parents []digest.Digest
	var unpacked int64
	diffIDs := i.DiffIDs()
	for n, d := range i.Layers {
		select {
		case <-arrived[n]:
		case <-ctx.Done(): // also if a download has failed
			return 0, ctx.Err()
		}
		layer, err := s.store.Unpack(ctx, imagestore.Unpacking{
			Blob:     digest.Digest(d.Digest.String()),
			DiffID:   diffIDs[n],
			Parents:  parents,
			Progress: r.meter(d.Digest.String(), resource.TransferUnpack, d.Size),
		})
		if err != nil {
			return 0, err
		}
		parents = append(parents, layer.ChainID)
		unpacked += layer.Size
		r.report(Progress{ID: d.Digest.String(), Step: resource.TransferDone, Current: d.Size, Total: d.Size})
	}
	return unpacked, nil
}

// removeGarbage removes what no image and no operation needs, as far as the
// extent goes, and returns the bytes freed.
func (s *Service) removeGarbage(which catalog.Extent) (int64, error) {
	trash, err := s.catalog.TakeAway(s.store, which)
	if trash == nil {
		return 0, err
	}
	freed, removeErr := trash.Remove()
	return freed, cmp.Or(err, removeErr)
}
