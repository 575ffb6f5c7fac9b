package apiserver

import (
	"encoding/json"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/containers"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/events"
	"patchbay.dev/patchbay/internal/apiserver/images"
	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/config"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/store"
	"patchbay.dev/patchbay/resource"
)

// imageUsers tells the image service of the containers, which are made after
// it. Nobody asks before.
type imageUsers struct{ containers *containers.Service }

func (u *imageUsers) ContainersUsing(digest string) []string {
	if u.containers == nil {
		return nil
	}
	return u.containers.ContainersUsing(digest)
}

func openEvents(s *server) (*events.Service, error) {
	epochs, err := store.NewCollection[events.Epoch](s.store, store.CollectionConfig{Name: events.Collection, Schema: events.Schema})
	if err != nil {
		return nil, err
	}
	return events.New(events.Config{File: s.config.Roots.Events(), Epochs: epochs, Log: s.config.Log})
}

func openImages(s *server, users catalog.Users) (*images.Service, error) {
	records, err := store.NewCollection[catalog.Record](s.store, store.CollectionConfig{Name: "images", Schema: 1})
	if err != nil {
		return nil, err
	}
	references, err := store.NewCollection[catalog.Reference](s.store, store.CollectionConfig{Name: "image-references", Schema: 1})
	if err != nil {
		return nil, err
	}
	return images.New(images.Config{
		Root:               s.config.Roots.Images(),
		Catalog:            catalog.Config{Images: records, References: references, Users: users, Events: s.events},
		Credentials:        s.config.Roots.Credentials(),
		InsecureRegistries: s.config.Settings.InsecureRegistries,
		Log:                s.config.Log,
	})
}

func openNetworks(s *server) (*networks.Service, error) {
	records, err := store.NewCollection[resource.StoredNetwork](s.store, store.CollectionConfig{
		Name:    "networks",
		Schema:  resource.NetworkSchema,
		Migrate: resource.MigrateNetwork,
	})
	if err != nil {
		return nil, err
	}
	addresses, err := store.NewCollection[addressing.Remembered](s.store, store.CollectionConfig{Name: "addresses", Schema: 1})
	if err != nil {
		return nil, err
	}
	return networks.New(networks.Config{
		Roots:        s.config.Roots,
		Records:      records,
		Addresses:    addresses,
		Plugins:      s.plugins,
		Default:      s.config.Settings.DefaultNetwork,
		ReadyTimeout: s.config.Settings.ReadyTimeout,
		Log:          s.config.Log,
		Events:       s.events,
		IPv4Pools:    s.config.Settings.IPv4Pools,
		IPv6Pools:    ipv6Pools(s),
	})
}

func openContainers(s *server, environment []string) (*containers.Service, error) {
	records, err := store.NewCollection[record.Container](s.store, store.CollectionConfig{
		Name:    record.Collection,
		Schema:  record.Schema,
		Migrate: record.Migrate,
	})
	if err != nil {
		return nil, err
	}
	return containers.New(containers.Config{
		Roots:          s.config.Roots,
		Records:        records,
		Images:         s.images,
		Networks:       s.networks,
		Runtimes:       s.plugins,
		DefaultRuntime: s.config.Settings.DefaultRuntime,
		Standby:        s.config.Settings.StandbyHelpers,
		LogLimits:      s.config.Settings.Log,
		ReadyTimeout:   s.config.Settings.ReadyTimeout,
		StartTimeout:   startTimeout + 2*s.config.Settings.VirtualMachines.BootTimeout, // a starved guest has it twice
		Log:            s.config.Log,
		Events:         s.events,

		RuntimeEnvironment: environment,
	})
}

// startTimeout is how long a start may take beside the boot of a machine: volumes may
// have to be filled.
const startTimeout = 2 * time.Minute

// runtimeEnvironment is what the configuration says to the programs of runtimes.
func runtimeEnvironment(c config.Config) ([]string, error) {
	machines, err := json.Marshal(c.VirtualMachines)
	if err != nil {
		return nil, err
	}
	return []string{layout.VirtualMachinesVariable + "=" + string(machines)}, nil
}
