package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/internal/registry"
	"patchbay.dev/patchbay/resource"
)

const (
	maxDocument = 16 << 20 // bytes of a manifest or a configuration
	maxLayers   = 500      // as many as overlayfs takes (Documentation/filesystems/overlayfs.rst)
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

	digest   digest.Digest
	document *v1.Manifest
	blobs    []string // digests: manifest, configuration, layers
	config   *v1.ConfigFile
}

// add brings all of an image into the store, unpacks it and stores its record.
func (s *Service) add(ctx context.Context, c *candidate, r *reporter) (resource.Image, error) {
	image, err := s.addPinned(ctx, c, r)
	s.cleanAfter(err, c.blobs)
	return image, err
}

// cleanAfter removes what a failed operation left: all that nothing needs when
// the disk is full, and its own blobs otherwise. After a mere interruption they
// are kept, so that the next try goes on from there.
func (s *Service) cleanAfter(err error, blobs []string) {
	var which extent
	switch {
	case err == nil, errdefs.IsUnavailable(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return
	case errdefs.IsResourceExhausted(err):
		which = everything
	default:
		which = only(Record{Blobs: blobs})
	}
	_, cleanErr := s.removeGarbage(which)
	s.warn(cleanErr)
}

// warn logs that something was left in the store: the next start removes it.
func (s *Service) warn(err error) {
	if err != nil {
		s.log.Warn("cannot remove garbage from the image store", "error", err)
	}
}

func (s *Service) addPinned(ctx context.Context, c *candidate, r *reporter) (resource.Image, error) {
	if err := c.parse(); err != nil {
		return resource.Image{}, err
	}
	s.mu.Lock()
	release := s.pin(pins{blobs: c.blobs})
	s.mu.Unlock()
	defer release()

	if _, err := s.store.WriteBlob(c.manifest); err != nil {
		return resource.Image{}, err
	}
	if err := s.readConfig(ctx, c, r); err != nil {
		return resource.Image{}, err
	}
	chains := c.chains()
	s.mu.Lock()
	releaseLayers := s.pin(pins{layers: chains})
	s.mu.Unlock()
	defer releaseLayers()

	unpacked, err := s.bringLayers(ctx, c, r)
	if err != nil {
		return resource.Image{}, err
	}
	if err := s.store.Sync(); err != nil {
		return resource.Image{}, err
	}
	record := c.record()
	record.Layers, record.UnpackedBytes = chains, unpacked
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.images.put(record, c.names); err != nil {
		return resource.Image{}, err
	}
	return s.images.image(record), nil
}

// parse reads the manifest and refuses what is no image.
func (c *candidate) parse() error {
	m, err := v1.ParseManifest(bytes.NewReader(c.manifest))
	if err != nil {
		return fmt.Errorf("manifest: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if m.MediaType == "" {
		m.MediaType = c.mediaType
	}
	if m.MediaType == "" {
		m.MediaType = types.OCIManifestSchema1
	}
	if m.SchemaVersion != 2 || !m.MediaType.IsImage() {
		return fmt.Errorf("manifest of schema %d and type %q: want an image of schema 2: %w", m.SchemaVersion, m.MediaType, errdefs.ErrInvalidArgument)
	}
	if !m.Config.MediaType.IsConfig() {
		return fmt.Errorf("is no container image: its configuration has the type %q: %w", m.Config.MediaType, errdefs.ErrInvalidArgument)
	}
	if n := len(m.Layers); n == 0 || n > maxLayers {
		return fmt.Errorf("has %d layers: want 1 to %d: %w", n, maxLayers, errdefs.ErrInvalidArgument)
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if err := digest.Digest(d.Digest.String()).Validate(); err != nil || d.Size < 0 {
			return fmt.Errorf("manifest: blob %q of %d bytes: %w", d.Digest, d.Size, errdefs.ErrInvalidArgument)
		}
		if d.MediaType != m.Config.MediaType && !d.MediaType.IsLayer() {
			return fmt.Errorf("layer %s: has the type %q: want a tar archive, plain or compressed with gzip or zstd: %w",
				d.Digest, d.MediaType, errdefs.ErrInvalidArgument)
		}
	}
	c.document, c.digest = m, digest.FromBytes(c.manifest)
	c.blobs = []string{c.digest.String(), m.Config.Digest.String()}
	for _, l := range m.Layers {
		c.blobs = append(c.blobs, l.Digest.String())
	}
	return nil
}

// readConfig fetches and checks the image's configuration.
func (s *Service) readConfig(ctx context.Context, c *candidate, r *reporter) error {
	d := c.document.Config
	if d.Size > maxDocument {
		return fmt.Errorf("configuration %s: has %d bytes: want at most %d: %w", d.Digest, d.Size, maxDocument, errdefs.ErrInvalidArgument)
	}
	if err := c.fetch(ctx, d, r); err != nil {
		return err
	}
	raw, err := s.store.ReadBlob(digest.Digest(d.Digest.String()), maxDocument)
	if err != nil {
		return err
	}
	c.config = &v1.ConfigFile{}
	if err := json.Unmarshal(raw, c.config); err != nil {
		return fmt.Errorf("configuration %s: %w: %w", d.Digest, err, errdefs.ErrInvalidArgument)
	}
	if have, want := len(c.config.RootFS.DiffIDs), len(c.document.Layers); have != want {
		return fmt.Errorf("configuration %s: names %d layers, the manifest %d: %w", d.Digest, have, want, errdefs.ErrInvalidArgument)
	}
	for _, id := range c.config.RootFS.DiffIDs {
		if digest.Digest(id.String()).Validate() != nil || id.Algorithm != "sha256" {
			return fmt.Errorf("configuration %s: diff id %q: want a sha256 digest: %w", d.Digest, id, errdefs.ErrInvalidArgument)
		}
	}
	have := c.config.Platform()
	if c.platform != nil && have != nil && have.Architecture != "" && !satisfies(*have, *c.platform) {
		return fmt.Errorf("is for %s, not for %s: %w", have, c.platform, errdefs.ErrNotFound)
	}
	return nil
}

// chains returns the chain ids of the layers, lowest first.
func (c *candidate) chains() []string {
	ids := make([]digest.Digest, len(c.config.RootFS.DiffIDs))
	for i, id := range c.config.RootFS.DiffIDs {
		ids[i] = digest.Digest(id.String())
	}
	chains := make([]string, len(ids))
	for i, id := range identity.ChainIDs(ids) {
		chains[i] = id.String()
	}
	return chains
}

// bringLayers fetches some layers at once and unpacks them from the lowest
// up as they arrive. It returns the bytes of all files.
func (s *Service) bringLayers(ctx context.Context, c *candidate, r *reporter) (unpacked int64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(registry.AtOnce + 1)
	arrived := make([]chan struct{}, len(c.document.Layers))
	for i := range arrived {
		arrived[i] = make(chan struct{})
	}
	group.Go(func() error {
		unpacked, err = s.unpackLayers(ctx, c, arrived, r)
		return err
	})
	for i, d := range c.document.Layers {
		group.Go(func() error {
			if err := c.fetch(ctx, d, r); err != nil {
				return err
			}
			close(arrived[i])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return unpacked, nil
}

func (s *Service) unpackLayers(ctx context.Context, c *candidate, arrived []chan struct{}, r *reporter) (int64, error) {
	var parents []digest.Digest
	var unpacked int64
	for i, d := range c.document.Layers {
		select {
		case <-arrived[i]:
		case <-ctx.Done(): // also if a download has failed
			return 0, ctx.Err()
		}
		layer, err := s.store.Unpack(ctx, imagestore.Unpacking{
			Blob:     digest.Digest(d.Digest.String()),
			DiffID:   digest.Digest(c.config.RootFS.DiffIDs[i].String()),
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

// record makes the stored form of what has been read.
func (c *candidate) record() Record {
	size := int64(len(c.manifest)) + c.document.Config.Size
	for _, l := range c.document.Layers {
		size += l.Size
	}
	created := c.config.Created.Time
	if created.IsZero() {
		created = time.Now()
	}
	configuration := resource.ImageConfiguration{
		Digest:      c.digest.String(),
		IndexDigest: c.indexDigest,
		MediaType:   string(c.document.MediaType),
		Run:         runConfiguration(c.config.Config),
	}
	if p := c.config.Platform(); p != nil {
		configuration.Platform = p.String()
	}
	for _, id := range c.config.RootFS.DiffIDs {
		configuration.DiffIDs = append(configuration.DiffIDs, id.String())
	}
	return Record{Configuration: configuration, CreatedAt: created.UTC(), Blobs: c.blobs, SizeBytes: size}
}
