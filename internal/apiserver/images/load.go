package images

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
)

// nameAnnotation holds a complete name in the index of an archive; the standard
// annotation usually holds the tag only.
const nameAnnotation = "io.containerd.image.name"

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
	archive, err := s.readArchive(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { s.warn(archive.discard()) }()
	candidates, err := archive.candidates()
	if err != nil {
		return nil, err
	}
	if err := nameAll(candidates, fallback); err != nil {
		return nil, err
	}
	return s.addAll(ctx, candidates)
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

// candidates finds the images of an archive. One of both forms is read as an
// OCI layout, because that keeps the digests.
func (a *imageArchive) candidates() ([]*candidate, error) {
	if _, err := a.file(specs.ImageIndexFile); err == nil {
		return a.layoutCandidates()
	}
	if _, err := a.file("manifest.json"); err == nil {
		return a.dockerCandidates()
	}
	return nil, fmt.Errorf("archive: has neither index.json nor manifest.json: want an OCI layout or a docker archive; "+
		"a root file system is read by \"patchbay image import\": %w", errdefs.ErrInvalidArgument)
}

// layoutCandidates reads an OCI layout (OCI image spec, image-layout.md).
func (a *imageArchive) layoutCandidates() ([]*candidate, error) {
	var index v1.IndexManifest
	if err := a.readJSON(specs.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	var list []*candidate
	for _, d := range index.Manifests {
		c, err := a.layoutCandidate(d)
		if err != nil {
			return nil, err
		}
		if c.names, err = layoutNames(d); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("archive: index.json names no image: %w", errdefs.ErrInvalidArgument)
	}
	return list, nil
}

func (a *imageArchive) layoutCandidate(d v1.Descriptor) (*candidate, error) {
	c := &candidate{fetch: a.fetchBlob}
	if d.MediaType.IsIndex() {
		c.indexDigest = d.Digest.String()
		child, err := a.chooseLocal(d)
		if err != nil {
			return nil, err
		}
		d = child
	}
	if _, err := a.blob(digest.Digest(d.Digest.String())); err != nil {
		return nil, err
	}
	var err error
	c.manifest, err = a.read(blobName(digest.Digest(d.Digest.String())))
	c.mediaType = d.MediaType
	return c, err
}

// chooseLocal finds the manifest for the host in an index in the archive. An
// archive may lack the content for the other platforms.
func (a *imageArchive) chooseLocal(d v1.Descriptor) (v1.Descriptor, error) {
	if _, err := a.blob(digest.Digest(d.Digest.String())); err != nil {
		return v1.Descriptor{}, err
	}
	var index v1.IndexManifest
	if err := a.readJSON(blobName(digest.Digest(d.Digest.String())), &index); err != nil {
		return v1.Descriptor{}, err
	}
	host, err := parsePlatform("")
	if err != nil {
		return v1.Descriptor{}, err
	}
	child, err := choose(&index, host)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("archive: index %s: %w", d.Digest, err)
	}
	return child, nil
}

// layoutNames reads the name of a manifest from its annotations.
func layoutNames(d v1.Descriptor) ([]string, error) {
	text := d.Annotations[nameAnnotation]
	if text == "" {
		text = d.Annotations[specs.AnnotationRefName]
		if !strings.ContainsAny(text, ":/") { // a tag, of nothing that we know
			return nil, nil
		}
	}
	p, err := parseReference(text)
	if err != nil {
		return nil, fmt.Errorf("archive: index.json: %w", err)
	}
	return []string{p.name}, nil
}

// fetchBlob commits a spooled blob to the store.
func (a *imageArchive) fetchBlob(_ context.Context, d v1.Descriptor, _ *reporter) error {
	f, err := a.blob(digest.Digest(d.Digest.String()))
	if err != nil {
		return err
	}
	if f.Size != d.Size {
		return fmt.Errorf("archive: blob %s: has %d bytes, the manifest says %d: %w", d.Digest, f.Size, d.Size, errdefs.ErrDataLoss)
	}
	return f.Commit()
}

// dockerCandidates reads what "docker save" writes. Such an archive has no
// manifests in the sense of registries, so one is made up.
func (a *imageArchive) dockerCandidates() ([]*candidate, error) {
	var saved tarball.Manifest
	if err := a.readJSON("manifest.json", &saved); err != nil {
		return nil, err
	}
	var list []*candidate
	for _, image := range saved {
		c, err := a.dockerCandidate(image)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("archive: manifest.json names no image: %w", errdefs.ErrInvalidArgument)
	}
	return list, nil
}

func (a *imageArchive) dockerCandidate(image tarball.Descriptor) (*candidate, error) {
	blobs := map[string]*imagestore.Temporary{}
	describe := func(entry string, t types.MediaType) (v1.Descriptor, error) {
		f, err := a.file(entry)
		if err != nil {
			return v1.Descriptor{}, err
		}
		hash, err := v1.NewHash(f.Digest.String())
		blobs[f.Digest.String()] = f
		return v1.Descriptor{MediaType: t, Size: f.Size, Digest: hash}, err
	}
	config, err := describe(image.Config, types.DockerConfigJSON)
	if err != nil {
		return nil, err
	}
	document := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: config}
	for _, entry := range image.Layers {
		t, err := a.layerType(entry)
		if err != nil {
			return nil, err
		}
		layer, err := describe(entry, t)
		if err != nil {
			return nil, err
		}
		document.Layers = append(document.Layers, layer)
	}
	c := &candidate{mediaType: types.DockerManifestSchema2}
	c.fetch = func(_ context.Context, d v1.Descriptor, _ *reporter) error { return blobs[d.Digest.String()].Commit() }
	for _, tag := range image.RepoTags {
		p, err := parseReference(tag)
		if err != nil {
			return nil, fmt.Errorf("archive: manifest.json: %w", err)
		}
		c.names = append(c.names, p.name)
	}
	c.manifest, err = json.Marshal(document)
	return c, err
}
