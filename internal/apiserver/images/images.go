// Package images is the image service of patchbayd: it fetches, stores,
// unpacks, names, exports and removes images, and keeps the credentials of
// registries.
package images

import (
	"context"
	"log/slog"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/internal/registry"
	"patchbay.dev/patchbay/resource"
)

// Progress is one step of a transfer.
type Progress = resource.TransferProgress

// Config is what a Service needs.
type Config struct {
	// Root is the directory of the image store (layout.Roots.Images).
	Root string
	// Catalog is what is needed to know of the images.
	Catalog catalog.Config
	// Credentials is the file with the credentials of registries.
	Credentials string
	// InsecureRegistries are the names ("host" or "host:port") of registries
	// that may be spoken to without encryption or a verified certificate.
	InsecureRegistries []string
	// Patience is how long a registry may be silent in the middle of a blob;
	// zero: one minute.
	Patience time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Service is the image service.
type Service struct {
	store   *imagestore.Store
	catalog *catalog.Catalog
	hubs    *registry.Client
	log     *slog.Logger
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
	s := &Service{store: store, log: c.Log}
	if s.catalog, err = catalog.Open(c.Catalog); err != nil {
		return nil, err
	}
	if s.hubs, err = registry.New(registry.Config{Credentials: c.Credentials, Insecure: c.InsecureRegistries, Patience: c.Patience}); err != nil {
		return nil, err
	}
	// A layer without a record may have been cut short by a power failure:
	// only those of stored images are known to be on the disk.
	_, err = s.removeGarbage(catalog.Unpacked)
	s.warn(err) // a read-only disk can still be read
	return s, nil
}

// List returns all images, newest first.
func (s *Service) List(context.Context) ([]resource.Image, error) { return s.catalog.List(), nil }

// Get returns the image that name stands for: a reference, a digest, or the
// beginning of a digest that fits one image only. ErrNotFound if there is none.
func (s *Service) Get(_ context.Context, name string) (resource.Image, error) {
	return s.catalog.Get(name)
}

// Resolve is Get without asking who uses the image.
func (s *Service) Resolve(_ context.Context, name string) (resource.Image, error) {
	return s.catalog.Resolve(name)
}

// Layers returns the directories of an image's layers, uppermost first, as
// overlayfs wants its lower directories. They are absolute paths.
func (s *Service) Layers(digest string) ([]string, error) {
	chains, err := s.catalog.Layers(digest)
	if err != nil {
		return nil, err
	}
	dirs := make([]string, len(chains))
	for i, chain := range chains {
		dirs[len(dirs)-1-i] = s.store.LayerPath(chain)
	}
	return dirs, nil
}

// Use keeps an image from being deleted until release is called: while a
// container is being made from it and is not known to its users yet.
func (s *Service) Use(digest string) (release func(), err error) { return s.catalog.Use(digest) }

// Tag gives an image one more name. A name that another image had is moved.
func (s *Service) Tag(_ context.Context, name, reference string) error {
	return s.catalog.Tag(name, reference)
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
