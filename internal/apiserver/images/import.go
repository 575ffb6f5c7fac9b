package images

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// layerTypes are the OCI media types of layers by their compression.
var layerTypes = map[resource.Compression]types.MediaType{
	resource.CompressionNone: types.OCIUncompressedLayer,
	resource.CompressionGzip: types.OCILayer,
	resource.CompressionZstd: types.OCILayerZStd,
}

// Import makes an image of one layer, for the host's platform, out of a root file
// system archive: a tar archive, plain or compressed with gzip or zstd. The layer
// is the archive as it comes.
func (s *Service) Import(ctx context.Context, r io.Reader, ref string, run resource.ImageRunConfiguration) (resource.Image, error) {
	p, err := parseReference(ref)
	if err != nil {
		return resource.Image{}, err
	}
	if p.digest != "" {
		return resource.Image{}, fmt.Errorf("image name %q: want a name with a tag, not with a digest: %w", ref, errdefs.ErrInvalidArgument)
	}
	if err := run.Validate(); err != nil {
		return resource.Image{}, err
	}
	image, err := s.importLayer(ctx, r, p.name, run)
	if err != nil {
		return resource.Image{}, fmt.Errorf("image %s: %w", familiar(p.name), err)
	}
	s.publish(event.ActionImport, image.ID, familiar(p.name))
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
	image, err := s.importSpooled(ctx, spooled, compression, name, run)
	s.cleanAfter(err, []string{spooled.Digest.String()})
	return image, err
}

func (s *Service) importSpooled(ctx context.Context, spooled *imagestore.Temporary, compression resource.Compression, name string, run resource.ImageRunConfiguration) (resource.Image, error) {
	s.mu.Lock()
	release := s.pin(pins{blobs: []string{spooled.Digest.String()}})
	s.mu.Unlock()
	defer release()
	if err := spooled.Commit(); err != nil {
		return resource.Image{}, err
	}
	// The layer is not pinned until its record is made, so it may be made twice.
	layer, err := s.store.Unpack(ctx, imagestore.Unpacking{Blob: spooled.Digest})
	if err != nil {
		return resource.Image{}, err
	}
	c, err := s.describeImport(layer, spooled, layerTypes[compression], run)
	if err != nil {
		return resource.Image{}, err
	}
	c.names = []string{name}
	return s.add(ctx, c, newReporter(nil))
}

// describeImport writes the configuration and the manifest of an imported image.
func (s *Service) describeImport(layer imagestore.Layer, blob *imagestore.Temporary, t types.MediaType, run resource.ImageRunConfiguration) (*candidate, error) {
	diffID, err := v1.NewHash(layer.DiffID.String())
	if err != nil {
		return nil, err
	}
	now := v1.Time{Time: time.Now().UTC()}
	config, err := json.Marshal(v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           runtime.GOOS,
		Created:      now,
		Config:       imageConfig(run),
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}},
		History:      []v1.History{{Created: now, CreatedBy: "patchbay image import"}},
	})
	if err != nil {
		return nil, err
	}
	layerDigest, err := v1.NewHash(blob.Digest.String())
	if err != nil {
		return nil, err
	}
	configDigest, _, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: configDigest},
		Layers:        []v1.Descriptor{{MediaType: t, Size: blob.Size, Digest: layerDigest}},
	})
	if err != nil {
		return nil, err
	}
	fetch := func(_ context.Context, d v1.Descriptor, _ *reporter) error {
		if d.Digest == configDigest {
			_, err := s.store.WriteBlob(config)
			return err
		}
		return nil // the layer is there, pinned
	}
	return &candidate{manifest: manifest, fetch: fetch}, nil
}
