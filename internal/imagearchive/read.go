package imagearchive

import (
	"encoding/json"
	"fmt"
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

// Image is one image of an archive.
type Image struct {
	Manifest    []byte
	MediaType   types.MediaType // of the manifest
	IndexDigest string          // of the index that it was chosen from, if any
	Names       []string        // as the archive has them
	// Commit gives a blob of the manifest its place in the store.
	Commit func(d v1.Descriptor) error
}

// Choose picks the image of an index that is wanted.
type Choose func(index *v1.IndexManifest) (v1.Descriptor, error)

// Images finds the images of an archive. One of both forms is read as an OCI
// layout, because that keeps the digests.
func (a *Archive) Images(choose Choose) ([]Image, error) {
	if _, err := a.file(specs.ImageIndexFile); err == nil {
		return a.layoutImages(choose)
	}
	if _, err := a.file("manifest.json"); err == nil {
		return a.dockerImages()
	}
	return nil, fmt.Errorf("archive: has neither index.json nor manifest.json: want an OCI layout or a docker archive; "+
		"a root file system is read by \"patchbay image import\": %w", errdefs.ErrInvalidArgument)
}

func (a *Archive) layoutImages(choose Choose) ([]Image, error) {
	var index v1.IndexManifest
	if err := a.readJSON(specs.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	var list []Image
	for _, d := range index.Manifests {
		image, err := a.layoutImage(d, choose)
		if err != nil {
			return nil, err
		}
		image.Names = layoutNames(d)
		list = append(list, image)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("archive: index.json names no image: %w", errdefs.ErrInvalidArgument)
	}
	return list, nil
}

func (a *Archive) layoutImage(d v1.Descriptor, choose Choose) (Image, error) {
	image := Image{Commit: a.commit}
	if d.MediaType.IsIndex() {
		image.IndexDigest = d.Digest.String()
		child, err := a.chooseFrom(d, choose)
		if err != nil {
			return Image{}, err
		}
		d = child
	}
	if _, err := a.blob(digest.Digest(d.Digest.String())); err != nil {
		return Image{}, err
	}
	var err error
	image.Manifest, err = a.read(blobName(digest.Digest(d.Digest.String())))
	image.MediaType = d.MediaType
	return image, err
}

// chooseFrom finds the manifest that is wanted in an index in the archive. An
// archive may lack the content of the others.
func (a *Archive) chooseFrom(d v1.Descriptor, choose Choose) (v1.Descriptor, error) {
	if _, err := a.blob(digest.Digest(d.Digest.String())); err != nil {
		return v1.Descriptor{}, err
	}
	var index v1.IndexManifest
	if err := a.readJSON(blobName(digest.Digest(d.Digest.String())), &index); err != nil {
		return v1.Descriptor{}, err
	}
	child, err := choose(&index)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("archive: index %s: %w", d.Digest, err)
	}
	return child, nil
}

// layoutNames reads the name of a manifest from its annotations.
func layoutNames(d v1.Descriptor) []string {
	if text := d.Annotations[nameAnnotation]; text != "" {
		return []string{text}
	}
	text := d.Annotations[specs.AnnotationRefName]
	if !strings.ContainsAny(text, ":/") { // a tag, of nothing that we know
		return nil
	}
	return []string{text}
}

// commit gives a spooled blob its place in the store.
func (a *Archive) commit(d v1.Descriptor) error {
	f, err := a.blob(digest.Digest(d.Digest.String()))
	if err != nil {
		return err
	}
	if f.Size != d.Size {
		return fmt.Errorf("archive: blob %s: has %d bytes, the manifest says %d: %w", d.Digest, f.Size, d.Size, errdefs.ErrDataLoss)
	}
	return f.Commit()
}

// dockerImages reads what "docker save" writes. Such an archive has no
// manifests in the sense of registries, so one is made up.
func (a *Archive) dockerImages() ([]Image, error) {
	var saved tarball.Manifest
	if err := a.readJSON("manifest.json", &saved); err != nil {
		return nil, err
	}
	var list []Image
	for _, d := range saved {
		image, err := a.dockerImage(d)
		if err != nil {
			return nil, err
		}
		list = append(list, image)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("archive: manifest.json names no image: %w", errdefs.ErrInvalidArgument)
	}
	return list, nil
}

func (a *Archive) dockerImage(d tarball.Descriptor) (Image, error) {
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
	config, err := describe(d.Config, types.DockerConfigJSON)
	if err != nil {
		return Image{}, err
	}
	document := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: config}
	for _, entry := range d.Layers {
		t, err := a.layerType(entry)
		if err != nil {
			return Image{}, err
		}
		layer, err := describe(entry, t)
		if err != nil {
			return Image{}, err
		}
		document.Layers = append(document.Layers, layer)
	}
	image := Image{
		MediaType: types.DockerManifestSchema2,
		Names:     d.RepoTags,
		Commit:    func(d v1.Descriptor) error { return blobs[d.Digest.String()].Commit() },
	}
	image.Manifest, err = json.Marshal(document)
	return image, err
}

// dockerLayerTypes are the media types of docker's manifests, which know no
// zstd.
var dockerLayerTypes = map[resource.Compression]types.MediaType{
	resource.CompressionNone: types.DockerUncompressedLayer,
	resource.CompressionGzip: types.DockerLayer,
	resource.CompressionZstd: types.OCILayerZStd,
}

// layerType finds out how a layer of a docker archive is compressed.
func (a *Archive) layerType(entry string) (types.MediaType, error) {
	f, err := a.file(entry)
	if err != nil {
		return "", err
	}
	compression, err := f.Compression()
	if err != nil {
		return "", archiveError(entry, err)
	}
	return dockerLayerTypes[compression], nil
}
