package imagearchive

import (
	"archive/tar"
	"encoding/json"
	"io"
	"os"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"patchbay.dev/patchbay/internal/imagestore"
)

// Saved is an image in a store that goes into an archive.
type Saved struct {
	Digest    string // of the manifest
	MediaType string // of the manifest
	Platform  string
	Blobs     []string // digests: manifest, configuration, layers
	Names     []string // complete; none: the archive does not name it
	Content   v1.Image
}

// WriteLayout writes an OCI layout (OCI image spec, image-layout.md).
func WriteLayout(w io.Writer, store *imagestore.Store, list []*Saved) error {
	archive := tar.NewWriter(w)
	layout, err := json.Marshal(specs.ImageLayout{Version: specs.ImageLayoutVersion})
	if err != nil {
		return err
	}
	if err := writeEntry(archive, specs.ImageLayoutFile, layout); err != nil {
		return err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	written := map[string]bool{}
	for _, image := range list {
		descriptors, err := image.describe(store)
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, descriptors...)
		for _, d := range image.Blobs {
			if written[d] {
				continue
			}
			written[d] = true
			if err := writeBlobEntry(archive, store, digest.Digest(d)); err != nil {
				return err
			}
		}
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := writeEntry(archive, specs.ImageIndexFile, raw); err != nil {
		return err
	}
	return archive.Close()
}

// describe makes the entries of the index for an image, one for each name.
func (image *Saved) describe(store *imagestore.Store) ([]v1.Descriptor, error) {
	hash, err := v1.NewHash(image.Digest)
	if err != nil {
		return nil, err
	}
	size, _ := store.BlobSize(digest.Digest(image.Digest))
	base := v1.Descriptor{MediaType: types.MediaType(image.MediaType), Size: size, Digest: hash}
	if image.Platform != "" {
		if base.Platform, err = v1.ParsePlatform(image.Platform); err != nil {
			return nil, err
		}
	}
	if len(image.Names) == 0 {
		return []v1.Descriptor{base}, nil
	}
	var list []v1.Descriptor
	for _, n := range image.Names {
		named, err := reference.ParseNormalizedNamed(n)
		if err != nil {
			return nil, err
		}
		d := base
		d.Annotations = map[string]string{nameAnnotation: n}
		if tagged, ok := named.(reference.Tagged); ok {
			d.Annotations[specs.AnnotationRefName] = tagged.Tag()
		}
		list = append(list, d)
	}
	return list, nil
}

func writeEntry(archive *tar.Writer, name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

func writeBlobEntry(archive *tar.Writer, store *imagestore.Store, d digest.Digest) error {
	f, err := os.Open(store.BlobPath(d))
	if err != nil {
		return err
	}
	defer f.Close()
	size, _ := store.BlobSize(d)
	if err := archive.WriteHeader(&tar.Header{Name: blobName(d), Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// WriteDocker writes what "docker load" reads. Names with a digest cannot be
// expressed in it and are left out.
func WriteDocker(w io.Writer, list []*Saved) error {
	images := map[name.Reference]v1.Image{}
	for _, image := range list {
		ref, err := name.NewDigest("image@" + image.Digest)
		if err != nil {
			return err
		}
		images[ref] = image.Content
		for _, n := range image.Names {
			named, err := reference.ParseNormalizedNamed(n)
			if err != nil {
				return err
			}
			if tag, err := name.NewTag(reference.FamiliarString(named)); err == nil {
				images[tag] = image.Content
			}
		}
	}
	// The library does not tell when the end of the archive cannot be written.
	checked := &errorWriter{w: w}
	if err := tarball.MultiRefWrite(images, checked); err != nil {
		return err
	}
	return checked.err
}

type errorWriter struct {
	w   io.Writer
	err error
}

func (w *errorWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
