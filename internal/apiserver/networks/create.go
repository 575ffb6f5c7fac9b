package networks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/networks/program"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/resource"
)

// Create starts the plugin of a new network, stores it and returns it when it
// serves. Faults of form, unknown plugins and variants, a name that is taken
// and subnets of other networks are reported all at once. On any error nothing
// is left: no process, directory, record or object on the host. An empty plugin
// or variant is the default.
func (s *Service) Create(ctx context.Context, name string, labels map[string]string, c resource.NetworkConfiguration) (resource.Network, error) {
	id := resource.NewID()
	configuration, err := program.Complete(c, s.config.Default, s.config.Plugins)
	faults := []error{resource.ValidateName("network", name), resource.ValidateLabels(labels), err}
	given := resource.PinnedSubnets{IPv4: configuration.IPv4Subnet, IPv6: configuration.IPv6Subnet}
	taken := s.ledger.Reserve(id, name, given)
	if err := errors.Join(append(faults, taken)...); err != nil {
		if taken == nil {
			s.forget(id, name)
		}
		return resource.Network{}, err
	}
	n := newNetwork(s, resource.StoredNetwork{
		Metadata:      resource.Metadata{ID: id, Name: name, CreatedAt: time.Now().UTC(), Labels: labels},
		Configuration: configuration,
	})
	n.unsaved, n.hidden = true, true
	if err := n.create(ctx); err != nil {
		n.plugin.Client.Close()
		s.forget(id, name)
		return resource.Network{}, err
	}
	n.reveal()
	return n.snapshot(), nil
}

// create makes the network and stores it; on an error it has taken everything
// back.
func (n *network) create(ctx context.Context) error {
	process, err := n.plugin.Launch()
	if err != nil {
		n.plugin.Discard()
		return n.plugin.Blame(err)
	}
	if err := n.plugin.Hello(ctx, process); err != nil {
		n.plugin.Discard() // it has not been asked for anything yet
		return err
	}
	if err := n.realize(ctx, process); err != nil {
		return errors.Join(err, n.takeBack(ctx, process, err))
	}
	n.service.enter(n)
	n.superviseFrom(process)
	return nil
}

// takeBack removes what a creation made that failed with cause. A plugin that
// hangs is killed first, so that the user is not kept waiting for it again.
func (n *network) takeBack(ctx context.Context, process *helper.Process, cause error) error {
	var silence *helper.SilenceError
	if errors.As(cause, &silence) {
		process.Kill()
	}
	if err := n.plugin.Dismantle(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("something of it may be left on the host: %w", err)
	}
	return nil
}

// ensureBuiltIn stores the built-in network when there is none yet.
func (s *Service) ensureBuiltIn() error {
	for _, n := range s.all() {
		if r := n.stored(); r.BuiltIn {
			if has := r.Configuration.Plugin; has.Plugin != s.config.Default.Plugin {
				n.log.Warn("built-in network keeps the plugin that it was made with", "configured", s.config.Default.String())
			}
			return nil
		}
	}
	info := s.config.Default
	if info.Variant == "" {
		if plugin, err := s.config.Plugins.Network(info.Plugin); err == nil {
			info.Variant = plugin.DefaultVariant
		}
	}
	r := resource.StoredNetwork{
		Metadata:      resource.Metadata{ID: resource.NewID(), Name: resource.DefaultNetworkName, CreatedAt: time.Now().UTC()},
		Configuration: resource.NetworkConfiguration{Plugin: info},
		BuiltIn:       true,
	}
	if err := s.ledger.Reserve(r.ID, r.Name, resource.PinnedSubnets{}); err != nil {
		return err
	}
	if err := s.config.Records.Put(r.ID, r); err != nil {
		s.config.Log.Error("built-in network is not stored, and made anew at the next start", "error", err)
	}
	s.enter(newNetwork(s, r)) // its first start stores it again, with its subnets
	return nil
}
