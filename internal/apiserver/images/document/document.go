// Package document checks the documents that make an image, its manifest and its
// configuration, says what they mean to Patchbay, and writes them for an image
// that has none. It reads and writes no file.
package document

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"patchbay.dev/patchbay/resource"
)

const (
	// MaxSize is the most bytes of a manifest or a configuration.
	MaxSize = 16 << 20

	maxLayers = 500 // as many as overlayfs takes (Documentation/filesystems/overlayfs.rst)
)

// Manifest is the manifest of an image that Patchbay can run.
type Manifest struct {
	v1.Manifest
	Raw    []byte
	Digest digest.Digest // of Raw
}

// Parse reads a manifest, of the media type given if it does not say, and
// refuses what is no image (ErrInvalidArgument).
func Parse(raw []byte, mediaType types.MediaType) (*Manifest, error) {
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if m.MediaType == "" {
		m.MediaType = mediaType
	}
	if m.MediaType == "" {
		m.MediaType = types.OCIManifestSchema1
	}
	if m.SchemaVersion != 2 || !m.MediaType.IsImage() {
		return nil, fmt.Errorf("manifest of schema %d and type %q: want an image of schema 2: %w", m.SchemaVersion, m.MediaType, errdefs.ErrInvalidArgument)
	}
	if !m.Config.MediaType.IsConfig() {
		return nil, fmt.Errorf("is no container image: its configuration has the type %q: %w", m.Config.MediaType, errdefs.ErrInvalidArgument)
	}
	if m.Config.Size > MaxSize {
		return nil, fmt.Errorf("configuration %s: has %d bytes: want at most %d: %w", m.Config.Digest, m.Config.Size, MaxSize, errdefs.ErrInvalidArgument)
	}
	if n := len(m.Layers); n == 0 || n > maxLayers {
		return nil, fmt.Errorf("has %d layers: want 1 to %d: %w", n, maxLayers, errdefs.ErrInvalidArgument)
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if err := digest.Digest(d.Digest.String()).Validate(); err != nil || d.Size < 0 {
			return nil, fmt.Errorf("manifest: blob %q of %d bytes: %w", d.Digest, d.Size, errdefs.ErrInvalidArgument)
		}
		if d.MediaType != m.Config.MediaType && !d.MediaType.IsLayer() {
			return nil, fmt.Errorf("layer %s: has the type %q: want a tar archive, plain or compressed with gzip or zstd: %w",
				d.Digest, d.MediaType, errdefs.ErrInvalidArgument)
		}
	}
	return &Manifest{Manifest: *m, Raw: raw, Digest: digest.FromBytes(raw)}, nil
}

// Blobs returns the digests of all that the image consists of: the manifest, the
// configuration, the layers.
func (m *Manifest) Blobs() []string {
	blobs := []string{m.Digest.String(), m.Config.Digest.String()}
	for _, l := range m.Layers {
		blobs = append(blobs, l.Digest.String())
	}
	return blobs
}

// Size returns the bytes of all that the image consists of.
func (m *Manifest) Size() int64 {
	size := int64(len(m.Raw)) + m.Config.Size
	for _, l := range m.Layers {
		size += l.Size
	}
	return size
}

// Image is a manifest with the configuration that fits it.
type Image struct {
	*Manifest
	File v1.ConfigFile
}

// WithConfig reads the configuration that the manifest names. It fails if the
// two do not fit (ErrInvalidArgument), or if the image is for another platform
// than the one wanted (ErrNotFound); nil: any.
func (m *Manifest) WithConfig(raw []byte, want *v1.Platform) (*Image, error) {
	i := &Image{Manifest: m}
	if err := json.Unmarshal(raw, &i.File); err != nil {
		return nil, fmt.Errorf("configuration %s: %w: %w", m.Config.Digest, err, errdefs.ErrInvalidArgument)
	}
	if have, want := len(i.File.RootFS.DiffIDs), len(m.Layers); have != want {
		return nil, fmt.Errorf("configuration %s: names %d layers, the manifest %d: %w", m.Config.Digest, have, want, errdefs.ErrInvalidArgument)
	}
	for _, id := range i.File.RootFS.DiffIDs {
		if digest.Digest(id.String()).Validate() != nil || id.Algorithm != "sha256" {
			return nil, fmt.Errorf("configuration %s: diff id %q: want a sha256 digest: %w", m.Config.Digest, id, errdefs.ErrInvalidArgument)
		}
	}
	have := i.File.Platform()
	if want != nil && have != nil && have.Architecture != "" && !satisfies(*have, *want) {
		return nil, fmt.Errorf("is for %s, not for %s: %w", have, want, errdefs.ErrNotFound)
	}
	return i, nil
}

// DiffIDs returns the digests of the layers as they are unpacked, lowest first.
func (i *Image) DiffIDs() []digest.Digest {
	ids := make([]digest.Digest, len(i.File.RootFS.DiffIDs))
	for n, id := range i.File.RootFS.DiffIDs {
		ids[n] = digest.Digest(id.String())
	}
	return ids
}

// Chains returns the chain ids of the layers, lowest first.
func (i *Image) Chains() []string { return texts(identity.ChainIDs(i.DiffIDs())) }

// Configuration says what the image is. That it was found by an index is for the
// caller to add.
func (i *Image) Configuration() resource.ImageConfiguration {
	c := resource.ImageConfiguration{
		Digest:    i.Digest.String(),
		MediaType: string(i.MediaType),
		DiffIDs:   texts(i.DiffIDs()),
		Run:       runConfiguration(i.File.Config),
	}
	if p := i.File.Platform(); p != nil {
		c.Platform = p.String()
	}
	return c
}

func texts(digests []digest.Digest) []string {
	list := make([]string, len(digests))
	for n, d := range digests {
		list[n] = d.String()
	}
	return list
}
