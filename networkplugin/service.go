package networkplugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/resource"
)

// serviceConfig is what a service needs.
type serviceConfig struct {
	Plugin    Plugin
	NetworkID string
	Directory string // for state
	Log       *slog.Logger
}

// service is one network's life: configured, started, updated, stopped. Its
// leases are the table's.
type service struct {
	serviceConfig
	table *lease.Table

	turn chan struct{} // one place: start, update and stop one after another

	mu      sync.Mutex
	stored  *stored // guarded by mu; nil: never configured
	network Network // guarded by mu; nil: not made
	started bool    // guarded by mu
	failure error   // guarded by mu: of the last start
	misfit  error   // guarded by mu: reservations that do not fit
	unwatch func()  // guarded by mu; ends the watch
	// warnings are what the network says of what is around it; guarded by mu.
	warnings  []string
	state     resource.NetworkState // guarded by mu: reported by the network
	message   string                // guarded by mu: reported by the network
	followers followers             // has a lock of its own
	// revision counts what may have changed the status, from 1 on; answered is that of the last
	// answer that tells of it; calls are those under way whose answers will. All guarded by mu.
	revision, answered uint64
	calls              int
}

// newService takes up what an earlier process left. A network that was started
// before is started again, so that sandboxes can hold their leases whether
// patchbayd is there or not; that failing, it is in state failed.
func newService(ctx context.Context, c serviceConfig) (*service, error) {
	s := &service{serviceConfig: c, turn: make(chan struct{}, 1), revision: 1}
	var err error
	if s.table, err = lease.NewTable(lease.Config{
		Directory: filepath.Join(c.Directory, "leases"), Times: lease.Times(c.Plugin.Leases), Log: c.Log, Notify: s.bump, Used: s.used,
	}); err != nil {
		return nil, err
	}
	if s.stored, err = s.load(); err != nil {
		return nil, err
	}
	if s.stored == nil {
		return s, nil
	}
	if s.stored.Realization == nil { // its first start never ended: enough for Stop
		if _, err := s.make(s.stored.Configuration); err != nil {
			c.Log.Error("network cannot be made again", "error", err)
		}
		return s, nil
	}
	if err := s.start(ctx, s.stored.Configuration); err != nil {
		c.Log.Error("network cannot be started again", "error", err)
	}
	return s, nil
}

// stopTime is how long a network may take to end with its process.
const stopTime = 5 * time.Second

// close ends service and leaves the network and its leases as they are.
func (s *service) close() error {
	s.table.Close() // first: streams that end from now on are not lost ones
	s.followers.close(fmt.Errorf("the plugin is ending: %w", errdefs.ErrUnavailable))
	s.mu.Lock()
	network, started := s.network, s.started
	s.mu.Unlock()
	s.halt()
	if !started {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return network.Stop(ctx, false)
}

// stored is the file of the network itself.
type stored struct {
	Configuration Configuration
	// Realization is nil until the network was started once.
	Realization *Realization
}

func (s *service) file() string { return filepath.Join(s.Directory, "configuration.json") }

func (s *service) write(record *stored) error {
	return atomicfile.WriteJSON(s.file(), record, 0o600)
}

// load returns nil where nothing is stored.
func (s *service) load() (*stored, error) {
	record := new(stored)
	err := atomicfile.ReadJSON(s.file(), record)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil, nil
	}
	return record, err
}

// take waits for its turn to start, update or stop.
func (s *service) take(ctx context.Context) (giveBack func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("network: another start or stop is under way: %w", ctx.Err())
	}
}

// make returns the network, made by the plugin when there is none yet.
func (s *service) make(c Configuration) (Network, error) {
	s.mu.Lock()
	network := s.network
	s.mu.Unlock()
	if network != nil {
		return network, nil
	}
	c.Log, c.StateDirectory = s.Log.With("network", c.Name), s.Directory
	network, err := s.Plugin.New(c)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.network = network
	return network, nil
}

// start is idempotent: with the configuration that is in force it repairs.
func (s *service) start(ctx context.Context, c Configuration) error {
	if c.ID != s.NetworkID {
		return fmt.Errorf("network %s: this process serves network %s: %w", c.ID, s.NetworkID, errdefs.ErrInvalidArgument)
	}
	giveBack, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	err = s.tryStart(ctx, c)
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
	s.bump()
	return err
}

func (s *service) tryStart(ctx context.Context, c Configuration) error {
	if err := s.adoptable(ctx, &c); err != nil {
		return err
	}
	network, err := s.make(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	next := &stored{Configuration: c}
	if s.stored != nil {
		next.Realization = s.stored.Realization
	}
	s.stored = next
	s.mu.Unlock()
	c.Adopted = next.Realization != nil
	// Before anything is made, so that what a crash leaves can be removed.
	if err := s.write(next); err != nil {
		return err
	}
	c.Log, c.StateDirectory, c.Ports = s.Log.With("network", c.Name), s.Directory, ports(s.table.Ports())
	r, err := network.Start(ctx, c)
	if err != nil {
		return err
	}
	if err := resource.Within(c.ReservedRanges, r.IPv4Subnet, r.IPv6Subnet); err != nil {
		return err
	}
	return s.opened(network, c, r)
}

// adoptable refuses a configuration that is not the one in force and makes the
// subnets of the first start given ones.
func (s *service) adoptable(ctx context.Context, c *Configuration) error {
	s.mu.Lock()
	before, network := s.stored, s.network
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	old := before.Configuration
	if before.Realization == nil {
		if sameWish(old, *c) && old.IPv4Subnet == c.IPv4Subnet && old.IPv6Subnet == c.IPv6Subnet {
			return nil
		}
		return s.discard(ctx, network) // what a failed start may have left
	}
	if next := *c; !sameWish(old, withChange(next, old)) {
		return fmt.Errorf("network %s: is configured otherwise, update or delete it first: %w", old.Name, errdefs.ErrFailedPrecondition)
	}
	return errors.Join(
		pin(old.Name, &c.IPv4Subnet, before.Realization.IPv4Subnet),
		pin(old.Name, &c.IPv6Subnet, before.Realization.IPv6Subnet))
}

// sameWish compares all but the subnets and what others use.
func sameWish(a, b Configuration) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Variant == b.Variant && a.MTU == b.MTU && maps.Equal(a.Options, b.Options) &&
		sameFamilies(a, b) && slices.Equal(a.ReservedRanges, b.ReservedRanges)
}

// withChange is c without what may change from one start to the next: MTU and
// reserved ranges, as after an update that the plugin has not heard of, or
// nobody else.
func withChange(c, old Configuration) Configuration {
	c.MTU, c.ReservedRanges = old.MTU, old.ReservedRanges
	return c
}

func sameFamilies(a, b Configuration) bool {
	return a.IPv4Disabled == b.IPv4Disabled && a.IPv6Disabled == b.IPv6Disabled
}

func pin(network string, wanted *netip.Prefix, has netip.Prefix) error {
	if !wanted.IsValid() {
		*wanted = has
	}
	if *wanted != has {
		return fmt.Errorf("network %s: has subnet %v, cannot change to %v: %w", network, has, *wanted, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// discard removes a network that never came up.
func (s *service) discard(ctx context.Context, network Network) error {
	if network != nil {
		if err := network.Stop(ctx, true); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.network, s.stored = nil, nil
	return nil
}

// opened begins service with what a start made.
func (s *service) opened(network Network, c Configuration, r Realization) error {
	if err := r.check(c); err != nil {
		return err
	}
	// Subnets are kept as given ones from now on.
	record := &stored{Configuration: c, Realization: &r}
	if err := s.write(record); err != nil {
		return err
	}
	s.mu.Lock()
	s.stored, s.started = record, true
	s.state, s.message = resource.NetworkReady, ""
	s.mu.Unlock()
	s.table.Open(&lease.Opened{Network: leased{network}, ID: c.ID, Name: c.Name, Realization: lease.Realization(r), Ranges: c.ReservedRanges})
	s.watch(network)
	s.bump()
	return nil
}

// check finds mistakes of the plugin's author.
func (r Realization) check(c Configuration) error {
	var faults []error
	for _, f := range []struct {
		family         string
		subnet, wanted netip.Prefix
		gateway        netip.Addr
		off            bool
	}{
		{"ipv4", r.IPv4Subnet, c.IPv4Subnet, r.IPv4Gateway, c.IPv4Disabled},
		{"ipv6", r.IPv6Subnet, c.IPv6Subnet, r.IPv6Gateway, c.IPv6Disabled},
	} {
		if f.off && f.subnet.IsValid() {
			faults = append(faults, fmt.Errorf("%s is off, the plugin took %v", f.family, f.subnet))
		}
		if f.wanted.IsValid() && f.wanted != f.subnet {
			faults = append(faults, fmt.Errorf("%s subnet %v was given, the plugin took %v", f.family, f.wanted, f.subnet))
		}
		if f.gateway.IsValid() && !f.subnet.Contains(f.gateway) {
			faults = append(faults, fmt.Errorf("%s gateway %v is not in the subnet %v", f.family, f.gateway, f.subnet))
		}
	}
	if r.MTU < 0 || r.MTU > resource.MaxMTU {
		faults = append(faults, fmt.Errorf("mtu %d is not in 0 to %d", r.MTU, resource.MaxMTU))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("network %s: the plugin's answer is wrong: %w: %w", c.Name, errdefs.ErrInternal, errors.Join(faults...))
}

// fit replaces the reservations; those that do not fit degrade the network.
func (s *service) fit(all []lease.Reservation) {
	err := s.table.ReplaceReservations(all)
	s.mu.Lock()
	s.misfit = err
	s.mu.Unlock()
	s.bump()
}

// serving returns the started network.
func (s *service) serving() (Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return nil, errNotStarted
	}
	return s.network, nil
}

// implementation is the network, or what stands for it until there is one.
func (s *service) implementation() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.network != nil {
		return s.network
	}
	return s.Plugin.Implements
}

// update replaces the configuration of a started network.
func (s *service) update(ctx context.Context, c Configuration) error {
	giveBack, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	s.mu.Lock()
	network, before, started := s.network, s.stored, s.started
	s.mu.Unlock()
	if !started {
		return errNotStarted
	}
	updater, ok := network.(Updater)
	alone := c
	alone.ReservedRanges = before.Configuration.ReservedRanges
	if !ok && !sameWish(alone, before.Configuration) {
		return fmt.Errorf("network %s: its plugin cannot change a started network: %w", before.Configuration.Name, errdefs.ErrNotImplemented)
	}
	if c.ID != s.NetworkID || c.Variant != before.Configuration.Variant || !sameFamilies(c, before.Configuration) {
		return fmt.Errorf("network %s: only name, mtu, options and reserved ranges can change: %w", before.Configuration.Name, errdefs.ErrFailedPrecondition)
	}
	if err := errors.Join(pin(c.Name, &c.IPv4Subnet, before.Realization.IPv4Subnet), pin(c.Name, &c.IPv6Subnet, before.Realization.IPv6Subnet)); err != nil {
		return err
	}
	c.Log, c.StateDirectory, c.Adopted = s.Log.With("network", c.Name), s.Directory, true
	r := *before.Realization
	if err := resource.Within(c.ReservedRanges, r.IPv4Subnet, r.IPv6Subnet); err != nil {
		return err
	}
	if !sameWish(alone, before.Configuration) {
		if r, err = updater.Update(ctx, c); err != nil {
			return err
		}
	}
	return s.opened(network, c, r)
}

var errNotStarted = fmt.Errorf("the network is not started: %w", errdefs.ErrFailedPrecondition)

// stop ends service. With remove the network leaves the host and nothing is kept.
func (s *service) stop(ctx context.Context, remove, force bool) error {
	giveBack, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	s.mu.Lock()
	network := s.network
	s.mu.Unlock()
	if network == nil {
		return s.forget(remove)
	}
	if !remove {
		s.table.Shut()
		s.halt()
		return network.Stop(ctx, false)
	}
	if err := s.table.Drain(force); err != nil {
		return err
	}
	s.halt()
	if err := network.Stop(ctx, true); err != nil {
		s.table.Resume()
		return err
	}
	return s.forget(true)
}

// halt ends the watch and marks the network as not started.
func (s *service) halt() {
	s.mu.Lock()
	s.started = false
	unwatch := s.unwatch
	s.unwatch = nil
	s.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	s.bump()
}

// forget drops all state of a network that is gone.
func (s *service) forget(remove bool) error {
	if !remove {
		return nil
	}
	s.mu.Lock()
	s.network, s.stored, s.failure, s.misfit = nil, nil, nil, nil
	s.mu.Unlock()
	return errors.Join(s.table.Reset(), atomicfile.Remove(s.file()))
}
