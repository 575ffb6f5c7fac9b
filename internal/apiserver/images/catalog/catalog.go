// Package catalog is what patchbayd knows of the images in its store: their
// records and names, who needs what of them, and so what is garbage. It reads
// and writes no content.
//
// # Deletion against everything else
//
// Blobs and layers are shared between images: one is garbage when no record of
// an image names it and no running operation has pinned it. An operation pins
// what it is going to need before it looks whether that is there, and lets go
// after its record is stored; garbage is worked out and taken away from its place
// under the same lock. So a deletion never waits for a pull, and never takes what
// a pull has just found present.
//
// Who uses an image is asked without that lock. What was answered counts as long
// as nobody has named or used the image since.
package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Collection is where records are stored, each under an id. Delete of an unknown
// id may fail with errdefs.ErrNotFound.
type Collection[T any] interface {
	List() ([]T, error)
	Put(id string, v T) error
	Delete(id string) error
}

// Record is the stored form of an image. Its id is Configuration.Digest.
type Record struct {
	Configuration resource.ImageConfiguration `json:"configuration"`
	CreatedAt     time.Time                   `json:"createdAt"`
	Blobs         []string                    `json:"blobs"`  // digests: manifest, configuration, layers
	Layers        []string                    `json:"layers"` // chain ids, lowest first
	SizeBytes     int64                       `json:"sizeBytes"`
	UnpackedBytes int64                       `json:"unpackedBytes"`
}

// content is all that an image needs of the store.
func (r Record) content() Content { return Content{Blobs: r.Blobs, Layers: r.Layers} }

// Reference is the stored form of a name of an image. Its id is Name.
type Reference struct {
	Name   string `json:"name"` // normalised, with its tag or digest
	Digest string `json:"digest"`
}

// Users says who uses images. It is asked without any lock held, so that it
// may itself hold locks when it calls Use.
type Users interface {
	// ContainersUsing returns the names of the containers that were made from
	// the image with this digest.
	ContainersUsing(digest string) []string
}

// Events tells of changes, in the order in which they are made. It is called
// with the catalog's lock held and does not wait.
type Events interface {
	Publish(e event.Event)
}

// Config is what a Catalog needs.
type Config struct {
	// Images and References are the stored records.
	Images     Collection[Record]
	References Collection[Reference]
	// Users may be nil: nobody uses images.
	Users Users
	// Events may be nil: nobody is told.
	Events Events
}

// Catalog is the images of one store. Its methods may be called by several at
// once.
type Catalog struct {
	config Config

	mu     sync.Mutex
	images map[string]*image // guarded by mu; by digest
	names  map[string]*image // guarded by mu; by complete name
	pinned map[item]int      // guarded by mu; how many operations need it
}

// image is an image that is stored. The catalog's mu guards all but digest.
type image struct {
	digest  string
	record  Record
	names   []string // complete, sorted
	uses    int      // how often it is kept by Use now
	touched uint64   // how often it was added, named or used
}

// Open reads what is stored. References to images that are not are left out.
func Open(config Config) (*Catalog, error) {
	c := &Catalog{config: config, images: map[string]*image{}, names: map[string]*image{}, pinned: map[item]int{}}
	records, err := config.Images.List()
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	for _, r := range records {
		c.images[r.Configuration.Digest] = &image{digest: r.Configuration.Digest, record: r}
	}
	references, err := config.References.List()
	if err != nil {
		return nil, fmt.Errorf("image references: %w", err)
	}
	for _, r := range references {
		if i := c.images[r.Digest]; i != nil {
			c.names[r.Name] = i
			i.addName(r.Name)
		}
	}
	return c, nil
}

func (i *image) addName(name string) {
	if at, found := slices.BinarySearch(i.names, name); !found {
		i.names = slices.Insert(i.names, at, name)
	}
}

func (i *image) dropName(name string) {
	i.names = slices.DeleteFunc(i.names, func(n string) bool { return n == name })
}

// resource describes an image; who uses it is for the caller to add.
func (i *image) resource() resource.Image {
	described := resource.Image{
		Metadata:      resource.Metadata{ID: i.digest, CreatedAt: i.record.CreatedAt},
		Configuration: i.record.Configuration,
		Status: resource.ImageStatus{
			References: familiarAll(i.names), SizeBytes: i.record.SizeBytes, UnpackedBytes: i.record.UnpackedBytes,
		},
	}
	if len(described.Status.References) > 0 {
		described.Name = described.Status.References[0]
	}
	return described
}

// List returns all images, newest first.
func (c *Catalog) List() []resource.Image {
	list := c.describeAll()
	for n := range list {
		list[n].Status.Containers = c.usersOf(list[n].ID)
	}
	return list
}

func (c *Catalog) describeAll() []resource.Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]resource.Image, 0, len(c.images))
	for _, i := range slices.SortedFunc(maps.Values(c.images), newestFirst) {
		list = append(list, i.resource())
	}
	return list
}

// newestFirst orders images.
func newestFirst(a, b *image) int {
	return cmp.Or(b.record.CreatedAt.Compare(a.record.CreatedAt), cmp.Compare(a.digest, b.digest))
}

// Get returns the image that name stands for: a reference, a digest, or the
// beginning of a digest that fits one image only. ErrNotFound if there is none.
func (c *Catalog) Get(name string) (resource.Image, error) {
	described, err := c.Resolve(name)
	if err == nil {
		described.Status.Containers = c.usersOf(described.ID)
	}
	return described, err
}

// Resolve is Get without asking who uses the image.
func (c *Catalog) Resolve(name string) (resource.Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.find(name)
	if err != nil {
		return resource.Image{}, wanted(name, err)
	}
	return i.resource(), nil
}

// Layers returns the chain ids of an image's layers, lowest first.
func (c *Catalog) Layers(digest string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.images[digest]
	if i == nil {
		return nil, notFound(digest)
	}
	return i.record.Layers, nil
}

// usersOf asks who uses an image. The caller does not hold mu.
func (c *Catalog) usersOf(digest string) []string {
	if c.config.Users == nil {
		return nil
	}
	return c.config.Users.ContainersUsing(digest)
}

// publish tells of a change of an image; name is a reference or its digest. The
// caller holds mu.
func (c *Catalog) publish(action, digest, name string) {
	if c.config.Events != nil {
		c.config.Events.Publish(event.Event{Type: event.Image, Action: action, ID: digest, Name: name})
	}
}

func notFound(name string) error {
	return fmt.Errorf("image %s: is not here: %w", name, errdefs.ErrNotFound)
}

// wanted is the error of find for whoever wants the image: it says how to get it.
func wanted(name string, err error) error {
	if isNotFound(err) {
		return fmt.Errorf("image %s: %w; pull it with \"patchbay image pull %s\"", name, errdefs.ErrNotFound, name)
	}
	return err
}

// isNotFound tells whether err says that a record is not there.
func isNotFound(err error) bool { return errors.Is(err, errdefs.ErrNotFound) }
