package images

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
)

// index is what is stored of images, held in memory, and what running
// operations need. The Service's mu guards all of it.
type index struct {
	records    map[string]Record // by digest
	references map[string]string // name -> digest
	pinned     map[string]int    // how many operations need a blob, layer or image
	uses       uint64            // how often Use was called

	images Collection[Record]
	names  Collection[Reference]
}

func loadIndex(images Collection[Record], names Collection[Reference]) (*index, error) {
	x := &index{
		records: map[string]Record{}, references: map[string]string{}, pinned: map[string]int{},
		images: images, names: names,
	}
	records, err := images.List()
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	for _, r := range records {
		x.records[r.Configuration.Digest] = r
	}
	references, err := names.List()
	if err != nil {
		return nil, fmt.Errorf("image references: %w", err)
	}
	for _, r := range references {
		if _, ok := x.records[r.Digest]; ok {
			x.references[r.Name] = r.Digest
		}
	}
	return x, nil
}

// resolve finds the image that name stands for.
func (x *index) resolve(name string) (Record, error) {
	p, err := parseReference(name)
	if err == nil {
		if d, ok := x.references[p.name]; ok {
			return x.records[d], nil
		}
		if p.digest != "" {
			return x.byDigest(name, strings.TrimPrefix(p.digest, "sha256:"))
		}
	}
	if match := digestPrefix.FindStringSubmatch(name); match != nil {
		return x.byDigest(name, match[1])
	}
	if err != nil {
		return Record{}, err
	}
	return Record{}, notFound(name)
}

// byDigest finds the one image whose digest, or else whose index's digest,
// begins with prefix.
func (x *index) byDigest(name, prefix string) (Record, error) {
	var found, ofIndex []string
	for d, r := range x.records {
		if strings.HasPrefix(d, "sha256:"+prefix) {
			found = append(found, d)
		}
		if strings.HasPrefix(r.Configuration.IndexDigest, "sha256:"+prefix) {
			ofIndex = append(ofIndex, d)
		}
	}
	if len(found) == 0 {
		found = ofIndex
	}
	switch len(found) {
	case 0:
		return Record{}, notFound(name)
	case 1:
		return x.records[found[0]], nil
	}
	slices.Sort(found)
	return Record{}, fmt.Errorf("image %s: %d images fit: %s; give more of the digest: %w",
		name, len(found), strings.Join(found, ", "), errdefs.ErrInvalidArgument)
}

// namesOf returns the complete names of an image, sorted.
func (x *index) namesOf(digest string) []string {
	var names []string
	for name, d := range x.references {
		if d == digest {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// image makes the resource of a record; who uses it is for the caller to add.
func (x *index) image(r Record) resource.Image {
	image := resource.Image{
		Metadata:      resource.Metadata{ID: r.Configuration.Digest, CreatedAt: r.CreatedAt},
		Configuration: r.Configuration,
		Status:        resource.ImageStatus{SizeBytes: r.SizeBytes, UnpackedBytes: r.UnpackedBytes},
	}
	for _, name := range x.namesOf(r.Configuration.Digest) {
		image.Status.References = append(image.Status.References, familiar(name))
	}
	if len(image.Status.References) > 0 {
		image.Name = image.Status.References[0]
	}
	return image
}

// all returns every image, newest first.
func (x *index) all() []resource.Image {
	list := make([]resource.Image, 0, len(x.records))
	for _, r := range x.records {
		list = append(list, x.image(r))
	}
	slices.SortFunc(list, func(a, b resource.Image) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// put stores an image, then its names: a name never leads nowhere.
func (x *index) put(r Record, names []string) error {
	if err := x.images.Put(r.Configuration.Digest, r); err != nil {
		return err
	}
	x.records[r.Configuration.Digest] = r
	for _, name := range names {
		if err := x.setReference(name, r.Configuration.Digest); err != nil {
			return err
		}
	}
	return nil
}

func (x *index) setReference(name, digest string) error {
	if err := x.names.Put(name, Reference{Name: name, Digest: digest}); err != nil {
		return err
	}
	x.references[name] = digest
	return nil
}

func (x *index) removeReference(name string) error {
	if err := x.names.Delete(name); err != nil && !isNotFound(err) {
		return err
	}
	delete(x.references, name)
	return nil
}

// remove removes an image that has no names.
func (x *index) remove(digest string) error {
	if err := x.images.Delete(digest); err != nil && !isNotFound(err) {
		return err
	}
	delete(x.records, digest)
	return nil
}

// pins are what an operation needs.
type pins struct{ images, blobs, layers []string }

func (p pins) keys() []string {
	var keys []string
	for _, d := range p.images {
		keys = append(keys, "image "+d)
	}
	for _, d := range p.blobs {
		keys = append(keys, "blob "+d)
	}
	for _, d := range p.layers {
		keys = append(keys, "layer "+d)
	}
	return keys
}

// pin keeps what p names from being removed until release is called, once or
// more. The caller holds mu.
func (s *Service) pin(p pins) (release func()) {
	keys := p.keys()
	for _, k := range keys {
		s.images.pinned[k]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, k := range keys {
			if s.images.pinned[k]--; s.images.pinned[k] == 0 {
				delete(s.images.pinned, k)
			}
		}
		keys = nil
	}
}

// extent says how much of the garbage is removed.
type extent func(kind, digest string) bool

// everything is all the garbage there is.
func everything(string, string) bool { return true }

// keepBlobs is all but what an interrupted pull can go on from.
func keepBlobs(kind, _ string) bool { return kind == "layer" }

// only is the garbage among the content of one image.
func only(r Record) extent {
	own := map[string]bool{}
	for _, k := range (pins{blobs: r.Blobs, layers: r.Layers}).keys() {
		own[k] = true
	}
	return func(kind, digest string) bool { return own[kind+" "+digest] }
}

// removeGarbage removes what no image and no operation needs, as far as the
// extent goes, and returns the bytes freed.
func (s *Service) removeGarbage(which extent) (int64, error) {
	trash, err := s.takeAway(which)
	if trash == nil {
		return 0, err
	}
	freed, removeErr := trash.Remove()
	return freed, cmp.Or(err, removeErr)
}

func (s *Service) takeAway(which extent) (*imagestore.Trash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	needed := maps.Clone(s.images.pinned)
	for _, r := range s.images.records {
		for _, k := range (pins{blobs: r.Blobs, layers: r.Layers}).keys() {
			needed[k]++
		}
	}
	keep := func(kind string, d digest.Digest) bool {
		return needed[kind+" "+d.String()] > 0 || !which(kind, d.String())
	}
	return s.store.TakeAway(imagestore.Keep{
		Blob:  func(d digest.Digest) bool { return keep("blob", d) },
		Layer: func(chain digest.Digest) bool { return keep("layer", chain) },
	})
}
