package images

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagestore"
)

// storedImage is an image in the store as the library wants it.
type storedImage struct {
	store    *imagestore.Store
	manifest *document.Manifest
	config   []byte
	// meter watches a layer being read. It may be nil.
	meter func(d v1.Descriptor) func(current int64)
}

var _ partial.CompressedImageCore = (*storedImage)(nil)

// open reads the documents of an image. The caller has pinned it.
func (s *Service) open(r catalog.Record, meter func(d v1.Descriptor) func(int64)) (v1.Image, error) {
	i := &storedImage{store: s.store, meter: meter}
	raw, err := s.store.ReadBlob(digest.Digest(r.Configuration.Digest), document.MaxSize)
	if err != nil {
		return nil, err
	}
	if i.manifest, err = document.Parse(raw, types.MediaType(r.Configuration.MediaType)); err != nil {
		return nil, err
	}
	if i.config, err = s.store.ReadBlob(digest.Digest(i.manifest.Config.Digest.String()), document.MaxSize); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(i)
}

func (i *storedImage) RawManifest() ([]byte, error)        { return i.manifest.Raw, nil }
func (i *storedImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *storedImage) MediaType() (types.MediaType, error) { return i.manifest.MediaType, nil }
func (i *storedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range append([]v1.Descriptor{i.manifest.Config}, i.manifest.Layers...) {
		if d.Digest == h {
			return &storedLayer{i, d}, nil
		}
	}
	return nil, fmt.Errorf("blob %s: is not of this image: %w", h, errdefs.ErrNotFound)
}

type storedLayer struct {
	image *storedImage
	d     v1.Descriptor
}

func (l *storedLayer) Digest() (v1.Hash, error)            { return l.d.Digest, nil }
func (l *storedLayer) Size() (int64, error)                { return l.d.Size, nil }
func (l *storedLayer) MediaType() (types.MediaType, error) { return l.d.MediaType, nil }
func (l *storedLayer) Compressed() (io.ReadCloser, error) {
	f, err := os.Open(l.image.store.BlobPath(digest.Digest(l.d.Digest.String())))
	if err != nil || l.image.meter == nil {
		return f, err
	}
	return &meteredFile{file: f, tell: l.image.meter(l.d)}, nil
}

// meteredFile tells how far a file has been read. It is no more than a reader:
// a file would be sent by sendfile(2), past Read.
type meteredFile struct {
	file *os.File
	n    int64
	tell func(int64)
}

func (f *meteredFile) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.n += int64(n)
	if n > 0 {
		f.tell(f.n)
	}
	return n, err
}

func (f *meteredFile) Close() error { return f.file.Close() }
