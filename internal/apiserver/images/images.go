// Package images is the image service of patchbayd: it fetches, stores,
// unpacks, names, exports and removes images, and keeps the credentials of
// registries.
//
// # Deletion against everything else
//
// Blobs and layers are shared between images, so only the service knows when
// one is garbage: when no record of an image names it and no running
// operation has pinned it. An operation pins what it is going to need before it
// looks whether that is there, and unpins after its record is stored; garbage is
// worked out and taken away from its place under the same lock. So a deletion
// never waits for a pull, and never takes what a pull has just found present.
package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/internal/registry"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Progress is one step of a transfer.
type Progress = resource.TransferProgress

// Collection is where records are stored, each under an id. Get and Delete of
// an unknown id may fail with errdefs.ErrNotFound.
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

// Config is what a Service needs.
type Config struct {
	// Root is the directory of the image store (layout.Roots.Images).
	Root string
	// Images and References are the stored records.
	Images     Collection[Record]
	References Collection[Reference]
	// Credentials is the file with the credentials of registries.
	Credentials string
	// InsecureRegistries are the names ("host" or "host:port") of registries
	// that may be spoken to without encryption or a verified certificate.
	InsecureRegistries []string
	// Patience is how long a registry may be silent in the middle of a blob;
	// zero: one minute.
	Patience time.Duration
	// Users may be nil: nobody uses images.
	Users Users
	// Events may be nil: nobody is told.
	Events Events
	// Log may be nil.
	Log *slog.Logger
}

// Service is the image service.
type Service struct {
	store *imagestore.Store
	users Users
	// events may be nil.
	events Events
	log    *slog.Logger
	hubs   *registry.Client

	mu     sync.Mutex
	images *index // guarded by mu
}

// New opens the image store and removes what a crash left in it.
func New(c Config) (*Service, error) {
	store, err := imagestore.Open(c.Root)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Users == nil {
		c.Users = noUsers{}
	}
	s := &Service{store: store, users: c.Users, events: c.Events, log: c.Log}
	if s.images, err = loadIndex(c.Images, c.References); err != nil {
		return nil, err
	}
	if s.hubs, err = registry.New(registry.Config{Credentials: c.Credentials, Insecure: c.InsecureRegistries, Patience: c.Patience}); err != nil {
		return nil, err
	}
	// A layer without a record may have been cut short by a power failure:
	// only those of stored images are known to be on the disk.
	_, err = s.removeGarbage(keepBlobs)
	s.warn(err) // a read-only disk can still be read
	return s, nil
}

type noUsers struct{}

func (noUsers) ContainersUsing(string) []string { return nil }

// List returns all images, newest first.
func (s *Service) List(context.Context) ([]resource.Image, error) {
	s.mu.Lock()
	list := s.images.all()
	s.mu.Unlock()
	for i := range list {
		list[i].Status.Containers = s.users.ContainersUsing(list[i].Configuration.Digest)
	}
	return list, nil
}

// Get returns the image that name stands for: a reference, a digest, or the
// beginning of a digest that fits one image only. ErrNotFound if there is none.
func (s *Service) Get(ctx context.Context, name string) (resource.Image, error) {
	image, err := s.Resolve(ctx, name)
	if err != nil {
		return resource.Image{}, err
	}
	image.Status.Containers = s.users.ContainersUsing(image.Configuration.Digest)
	return image, nil
}

// Resolve is Get without asking who uses the image.
func (s *Service) Resolve(_ context.Context, name string) (resource.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.images.resolve(name)
	if err != nil {
		return resource.Image{}, wanted(name, err)
	}
	return s.images.image(record), nil
}

// Layers returns the directories of an image's layers, uppermost first, as
// overlayfs wants its lower directories. They are absolute paths.
func (s *Service) Layers(digest string) ([]string, error) {
	s.mu.Lock()
	record, ok := s.images.records[digest]
	s.mu.Unlock()
	if !ok {
		return nil, notFound(digest)
	}
	dirs := make([]string, len(record.Layers))
	for i, chain := range record.Layers {
		dirs[len(dirs)-1-i] = s.store.LayerPath(chain)
	}
	return dirs, nil
}

// Use keeps an image from being deleted until release is called: while a
// container is being made from it and is not known to Users yet.
func (s *Service) Use(digest string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.images.records[digest]; !ok {
		return nil, notFound(digest)
	}
	s.images.uses++
	return s.pin(pins{images: []string{digest}}), nil
}

// Tag gives an image one more name. A name that another image had is moved.
func (s *Service) Tag(_ context.Context, name, reference string) error {
	named, err := parseReference(reference)
	if err != nil {
		return err
	}
	if named.digest != "" {
		return fmt.Errorf("image name %q: want a name with a tag, not with a digest: %w", reference, errdefs.ErrInvalidArgument)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.images.resolve(name)
	if err != nil {
		return wanted(name, err)
	}
	if err := s.images.setReference(named.name, record.Configuration.Digest); err != nil {
		return err
	}
	s.publish(event.ActionTag, record.Configuration.Digest, familiar(named.name))
	return nil
}

// Login checks credentials with a registry and stores them. An empty name is
// the default registry. ErrUnauthenticated if it refuses them.
func (s *Service) Login(ctx context.Context, registry, username, password string) error {
	return s.hubs.Login(ctx, registry, username, password)
}

// Logout forgets the credentials of a registry. ErrNotFound if there are none.
func (s *Service) Logout(ctx context.Context, registry string) error {
	return s.hubs.Logout(ctx, registry)
}

// Logins returns the registries with stored credentials, by name.
func (s *Service) Logins(ctx context.Context) ([]resource.RegistryLogin, error) {
	return s.hubs.Logins(ctx)
}

func notFound(name string) error {
	return fmt.Errorf("image %s: is not here: %w", name, errdefs.ErrNotFound)
}

// wanted is the error of resolve for whoever wants the image: it says how to get it.
func wanted(name string, err error) error {
	if isNotFound(err) {
		return fmt.Errorf("image %s: %w; pull it with \"patchbay image pull %s\"", name, errdefs.ErrNotFound, name)
	}
	return err
}

// isNotFound tells whether err says that a record is not there.
func isNotFound(err error) bool { return errors.Is(err, errdefs.ErrNotFound) }
