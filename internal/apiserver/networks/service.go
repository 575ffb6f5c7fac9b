package networks

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/networks/program"
	"patchbay.dev/patchbay/internal/keyed"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Records keeps the configuration of networks by id.
type Records interface {
	List() ([]resource.StoredNetwork, error)
	Put(id string, n resource.StoredNetwork) error
	Delete(id string) error
}

// Users knows the containers that networks are configured for.
type Users interface {
	// ContainersOn returns the names of the containers configured for a network.
	ContainersOn(networkID string) []string
	// Reservations returns the static addresses of those containers.
	Reservations(networkID string) []pluginwire.Reservation
}

// Config is what a Service needs. Fields without a default are required.
type Config struct {
	Roots   layout.Roots
	Records Records
	// Addresses keeps what attachments had.
	Addresses addressing.Records
	Plugins   program.Plugins
	// Default serves the built-in network and those that name no plugin. An empty
	// Variant is the plugin's own default.
	Default resource.PluginInfo
	// ReadyTimeout bounds how long a plugin may take until it answers, and
	// again until its network is made.
	ReadyTimeout time.Duration
	// StatusTimeout bounds how long it may take to tell its state, a tenth of that
	// where it has not done so before; default 500 ms.
	StatusTimeout time.Duration
	// LeaseTimeout bounds each call about a lease, with the time that a plugin may
	// take to come up; default 10 s.
	LeaseTimeout time.Duration
	Log          *slog.Logger
	Events       Events // nil: nobody is told
	// Plugins choose subnets from the pools, in order; default: pools of their own.
	IPv4Pools, IPv6Pools []resource.SubnetPool
}

// atOnce is how many networks are brought up, and in the end taken off the host, at a time.
// The kernel takes changes of links one after the other and waits with each, so that of
// hundreds at once most would seem not to answer.
const atOnce = 16

// Service keeps the networks. It is safe for concurrent use.
type Service struct {
	config Config
	users  Users
	ledger *addressing.Ledger
	memory *addressing.Memory
	byID   keyed.Mutex // one deletion of a network at a time
	rounds *inturn.Rounds
	places chan struct{} // of plugins that are brought up: atOnce

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // supervision
	mending sync.WaitGroup // what is left of crashes

	mu       sync.Mutex
	networks map[string]*network // by id; guarded by mu
	names    map[string]*network // guarded by mu
}

// New returns a service with the networks in the records. Nothing runs until
// Start. Records that cannot be read are an error, since their networks would
// be taken for left-overs.
func New(c Config) (*Service, error) {
	c.StatusTimeout = cmp.Or(c.StatusTimeout, defaultStatusTimeout)
	c.LeaseTimeout = cmp.Or(c.LeaseTimeout, defaultLeaseTimeout)
	stored, err := c.Records.List()
	if err != nil {
		return nil, fmt.Errorf("read networks: %w", err)
	}
	ledger := addressing.NewLedger(stored, addressing.Pools{IPv4: c.IPv4Pools, IPv6: c.IPv6Pools})
	s := &Service{config: c, networks: map[string]*network{}, names: map[string]*network{}, ledger: ledger, memory: addressing.NewMemory(c.Addresses, stored, c.Log)}
	s.life, s.end = context.WithCancel(context.Background())
	s.places = make(chan struct{}, atOnce)
	s.rounds = inturn.NewRounds(askedByList, s.running.Go)
	for _, r := range stored {
		s.enter(newNetwork(s, r))
	}
	return s, nil
}

// Start starts or adopts the plugins of all networks, several at once, and returns
// before that; networks show as starting meanwhile. Interrupted deletions and
// left-over plugins are finished off. It is called once, before anything else.
func (s *Service) Start(users Users) error {
	s.users = users
	s.running.Go(func() { s.memory.Run(s.life) })
	if err := s.ensureBuiltIn(); err != nil {
		return err
	}
	for _, n := range s.all() {
		if n.deleting() {
			s.mending.Go(func() { s.finishDeletion(n) })
			continue
		}
		n.superviseFrom(nil)
	}
	s.sweep()
	return nil
}

// Close ends supervision and waits for it. Plugins and networks go on.
func (s *Service) Close() {
	s.end()
	s.running.Wait()
	s.mending.Wait()
	for _, n := range s.all() {
		n.plugin.Client.Close()
	}
}

// Resolve returns the network of a name, an id or a unique prefix of an id
// (resource.MinIDPrefix), as it was when its plugin last told; names win.
func (s *Service) Resolve(name string) (resource.Network, error) {
	n, err := s.find(name)
	if err != nil {
		return resource.Network{}, err
	}
	return n.snapshot(), nil
}

func (s *Service) find(name string) (*network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range []*network{s.names[name], s.networks[name]} {
		if n != nil && !n.deleting() {
			return n, nil
		}
	}
	var byPrefix []*network
	var names []string
	for id, n := range s.networks {
		if n.deleting() {
			continue
		}
		if resource.IsIDPrefix(name, id) {
			byPrefix = append(byPrefix, n)
		}
		names = append(names, n.name)
	}
	switch len(byPrefix) {
	case 1:
		return byPrefix[0], nil
	case 0:
		slices.Sort(names)
		return nil, fmt.Errorf("network %q: not found, want one of %s: %w", name, strings.Join(names, ", "), errdefs.ErrNotFound)
	}
	return nil, fmt.Errorf("network %q: is the start of %d ids, want more digits: %w", name, len(byPrefix), errdefs.ErrInvalidArgument)
}

// enter makes a network known.
func (s *Service) enter(n *network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.networks[n.id], s.names[n.name] = n, n
}

func (s *Service) get(id string) (*network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.networks[id]
	if n == nil {
		return nil, fmt.Errorf("network %s: not found: %w", id, errdefs.ErrNotFound)
	}
	return n, nil
}

// all returns the networks by age, the oldest first.
func (s *Service) all() []*network {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.networks), func(a, b *network) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id))
	})
}

// forget gives up all that a network had.
func (s *Service) forget(id, name string) {
	s.mu.Lock()
	delete(s.networks, id)
	if n := s.names[name]; n != nil && n.id == id {
		delete(s.names, name)
	}
	s.mu.Unlock()
	s.ledger.Forget(id, name)
	s.memory.Drop(id)
}

// Count returns how many networks there are.
func (s *Service) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.networks)
}

// Use keeps networks from being deleted until release is called, for the time
// in which a container that names them is being made. It is errdefs.ErrNotFound
// if one of them is gone or going.
func (s *Service) Use(ids []string) (release func(), err error) {
	var used []*network
	release = sync.OnceFunc(func() {
		for _, n := range used {
			n.unuse()
		}
	})
	for _, id := range ids {
		n, err := s.get(id)
		if err == nil {
			err = n.use()
		}
		if err != nil {
			release()
			return nil, err
		}
		used = append(used, n)
	}
	return release, nil
}

// Strategy returns the name of the strategy by which a network's interfaces are
// made, from its plugin's manifest.
func (s *Service) Strategy(networkID string) (string, error) {
	n, err := s.get(networkID)
	if err != nil {
		return "", err
	}
	r := n.stored()
	plugin, err := s.config.Plugins.Network(r.Configuration.Plugin.Plugin)
	if err != nil {
		return "", fmt.Errorf("network %s: %w", r.Name, err)
	}
	strategy, err := program.Strategy(plugin, r.Configuration.Plugin.Variant)
	if err != nil {
		return "", fmt.Errorf("network %s: %w", r.Name, err)
	}
	return strategy, nil
}
