package catalog

import (
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/internal/imagestore"
)

// Content names what is in the store: blobs by their digests, unpacked layers
// by their chain ids.
type Content struct{ Blobs, Layers []string }

// item is one blob or one layer.
type item struct {
	layer  bool
	digest string
}

func (c Content) items() []item {
	list := make([]item, 0, len(c.Blobs)+len(c.Layers))
	for _, d := range c.Blobs {
		list = append(list, item{digest: d})
	}
	for _, d := range c.Layers {
		list = append(list, item{layer: true, digest: d})
	}
	return list
}

// Hold is what one operation needs of the store. It is for one goroutine.
type Hold struct {
	catalog *Catalog
	items   []item
}

// Hold begins an operation, which needs nothing yet.
func (c *Catalog) Hold() *Hold { return &Hold{catalog: c} }

// Pin keeps content, which need not be there yet, from being removed until
// Release.
func (h *Hold) Pin(content Content) {
	h.catalog.mu.Lock()
	defer h.catalog.mu.Unlock()
	h.pin(content)
}

// pin is Pin for who holds the catalog's mu.
func (h *Hold) pin(content Content) {
	items := content.items()
	for _, i := range items {
		h.catalog.pinned[i]++
	}
	h.items = append(h.items, items...)
}

// Take finds an image, as Resolve does, and pins its content. The second result
// is its complete name, empty if it was found by digest.
func (h *Hold) Take(name string) (Record, string, error) {
	c := h.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.find(name)
	if err != nil {
		return Record{}, "", wanted(name, err)
	}
	h.pin(i.record.content())
	return i.record, c.nameOf(i, name), nil
}

// Blobs is the garbage among the blobs that are pinned.
func (h *Hold) Blobs() Extent {
	return only(slices.DeleteFunc(slices.Clone(h.items), func(i item) bool { return i.layer }))
}

// Release ends the operation. It may be called again.
func (h *Hold) Release() {
	c := h.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range h.items {
		if c.pinned[i]--; c.pinned[i] == 0 {
			delete(c.pinned, i)
		}
	}
	h.items = nil
}

// Use keeps an image from being deleted until release is called, once or more:
// while a container is being made from it and is not known to Users yet.
// ErrNotFound if it is not here.
func (c *Catalog) Use(digest string) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.images[digest]
	if i == nil {
		return nil, notFound(digest)
	}
	i.uses++
	i.touched++
	released := false
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !released {
			released = true
			i.uses--
		}
	}, nil
}

// Extent says how much of the garbage is meant.
type Extent func(item) bool

// All is all the garbage there is.
func All(item) bool { return true }

// Unpacked is all but blobs, which an interrupted pull can go on from.
func Unpacked(i item) bool { return i.layer }

// Only is the garbage among some content.
func Only(content Content) Extent { return only(content.items()) }

func only(items []item) Extent {
	own := map[item]bool{}
	for _, i := range items {
		own[i] = true
	}
	return func(i item) bool { return own[i] }
}

// TakeAway takes what no image and no operation needs away from its place in the
// store, as far as the extent goes. The trash is for the caller to remove, and
// may be there beside an error; nil if there is none.
func (c *Catalog) TakeAway(store *imagestore.Store, which Extent) (*imagestore.Trash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	needed := maps.Clone(c.pinned)
	for _, i := range c.images {
		for _, own := range i.record.content().items() {
			needed[own]++
		}
	}
	keep := func(i item) bool { return needed[i] > 0 || !which(i) }
	return store.TakeAway(imagestore.Keep{
		Blob:  func(d digest.Digest) bool { return keep(item{digest: d.String()}) },
		Layer: func(chain digest.Digest) bool { return keep(item{layer: true, digest: chain.String()}) },
	})
}
