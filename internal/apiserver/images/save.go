package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
)

// saved is one image of an archive that is being written.
type saved struct {
	record Record
	names  []string // complete; none for an image that was asked for by digest
}

// Save writes images into one archive. Format and compression default to an
// OCI layout without compression. A reference is saved with that name, a digest
// without any.
func (s *Service) Save(ctx context.Context, w io.Writer, names []string, format resource.ArchiveFormat, compression resource.Compression) error {
	if len(names) == 0 {
		return fmt.Errorf("images to save: want at least one: %w", errdefs.ErrInvalidArgument)
	}
	write := s.writeLayout
	switch format {
	case "", resource.ArchiveOCI:
	case resource.ArchiveDocker:
		write = s.writeDocker
	default:
		return fmt.Errorf("archive format %q: want %q or %q: %w", format, resource.ArchiveOCI, resource.ArchiveDocker, errdefs.ErrInvalidArgument)
	}
	list, release, err := s.takeAll(names)
	if err != nil {
		return err
	}
	defer release()
	compressed, err := imagestore.Compress(contextWriter{ctx, w}, compression)
	if err != nil {
		return err
	}
	if err := write(compressed, list); err != nil {
		return err
	}
	return compressed.Close()
}

// takeAll resolves and pins images, each once, in the order of names.
func (s *Service) takeAll(names []string) (_ []*saved, release func(), err error) {
	var list []*saved
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	byDigest := map[string]*saved{}
	for _, n := range names {
		record, releaseOne, err := s.take(n)
		if err != nil {
			release()
			return nil, nil, err
		}
		releases = append(releases, releaseOne)
		image := byDigest[record.Configuration.Digest]
		if image == nil {
			image = &saved{record: record}
			byDigest[record.Configuration.Digest] = image
			list = append(list, image)
		}
		s.mu.Lock()
		if p, err := parseReference(n); err == nil && s.images.references[p.name] == record.Configuration.Digest {
			image.names = append(image.names, p.name)
		}
		s.mu.Unlock()
	}
	return list, release, nil
}

// writeLayout writes an OCI layout (OCI image spec, image-layout.md).
func (s *Service) writeLayout(w io.Writer, list []*saved) error {
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
		descriptors, err := s.describe(image)
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, descriptors...)
		for _, d := range image.record.Blobs {
			if written[d] {
				continue
			}
			written[d] = true
			if err := s.writeBlobEntry(archive, digest.Digest(d)); err != nil {
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
func (s *Service) describe(image *saved) ([]v1.Descriptor, error) {
	hash, err := v1.NewHash(image.record.Configuration.Digest)
	if err != nil {
		return nil, err
	}
	size, _ := s.store.BlobSize(digest.Digest(image.record.Configuration.Digest))
	base := v1.Descriptor{MediaType: types.MediaType(image.record.Configuration.MediaType), Size: size, Digest: hash}
	if image.record.Configuration.Platform != "" {
		if base.Platform, err = v1.ParsePlatform(image.record.Configuration.Platform); err != nil {
			return nil, err
		}
	}
	if len(image.names) == 0 {
		return []v1.Descriptor{base}, nil
	}
	var list []v1.Descriptor
	for _, n := range image.names {
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

func (s *Service) writeBlobEntry(archive *tar.Writer, d digest.Digest) error {
	f, err := os.Open(s.store.BlobPath(d))
	if err != nil {
		return err
	}
	defer f.Close()
	size, _ := s.store.BlobSize(d)
	if err := archive.WriteHeader(&tar.Header{Name: blobName(d), Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// writeDocker writes what "docker load" reads. Names with a digest cannot be
// expressed in it and are left out.
func (s *Service) writeDocker(w io.Writer, list []*saved) error {
	images := map[name.Reference]v1.Image{}
	for _, image := range list {
		stored, err := s.open(image.record, nil)
		if err != nil {
			return err
		}
		ref, err := name.NewDigest("image@" + image.record.Configuration.Digest)
		if err != nil {
			return err
		}
		images[ref] = stored
		for _, n := range image.names {
			if tag, err := name.NewTag(familiar(n)); err == nil {
				images[tag] = stored
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
