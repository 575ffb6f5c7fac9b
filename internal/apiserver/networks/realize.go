package networks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/apiserver/networks/program"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// maxChoices is how often a plugin may choose a subnet that another network
// got at the same moment.
const maxChoices = 8

// program finds the plugin as it is installed now; that of a left-over is known
// by its last process alone. A network stored while its plugin was missing
// gets its variant here.
func (n *network) program() (manifest.Plugin, error) {
	info := n.stored().Configuration.Plugin
	if info.Plugin == "" {
		binary, err := helper.Binary(n.service.config.Roots.Network(n.id))
		return manifest.Plugin{Plugin: resource.Plugin{Name: filepath.Base(binary)}, Binary: binary}, err
	}
	plugin, err := n.service.config.Plugins.Network(info.Plugin)
	if err != nil {
		return manifest.Plugin{}, err
	}
	if info.Variant == "" {
		info.Variant = plugin.DefaultVariant
		n.mu.Lock()
		n.record.Configuration.Plugin = info
		n.unsaved = true
		n.mu.Unlock()
	}
	_, err = program.Strategy(plugin, info.Variant)
	return plugin, err
}

// realize makes the network or adopts what there is of it, pins the subnets
// that the plugin chose, and stores the network if that is news. A choice that another network made at the same moment
// is taken back and made again.
func (n *network) realize(ctx context.Context, p *helper.Process) error {
	var err error
	extent := addressing.Near
	for range maxChoices {
		var status resource.NetworkStatus
		if status, err = n.begin(ctx, p, extent); err != nil {
			return err
		}
		if err := addressing.CheckRoutes(n.stored(), status); err != nil {
			return err
		}
		if err = n.pin(status); err == nil {
			if err := n.save(); err != nil {
				return err
			}
			n.told(status) // only now: who sees it serve can rely on its subnets
			return nil
		}
		var overlap *addressing.OverlapError
		if !errors.As(err, &overlap) || !overlap.Ours {
			return n.plugin.Blame(err)
		}
		if err := n.plugin.Stop(ctx, p); err != nil {
			return err
		}
		extent = addressing.All
	}
	return n.plugin.Blame(fmt.Errorf("chooses subnets that are in use again and again: %w", err))
}

func (n *network) begin(ctx context.Context, p *helper.Process, extent addressing.Extent) (resource.NetworkStatus, error) {
	return n.plugin.Start(ctx, p, n.startRequest(extent))
}

func (n *network) startRequest(extent addressing.Extent) *pluginv1.StartRequest {
	request := &pluginv1.StartRequest{Configuration: n.service.ledger.Configuration(n.stored(), extent), Remembered: n.service.memory.Of(n.id)}
	for _, reservation := range n.service.users.Reservations(n.id) {
		request.Reservations = append(request.Reservations, pluginwire.ReservationToProto(reservation))
	}
	return request
}

// pin checks what the plugin made against what it was asked for and against
// all other networks, and keeps it for later starts.
func (n *network) pin(status resource.NetworkStatus) error {
	r := n.stored()
	want, got := addressing.Wanted(r), resource.PinnedSubnets{IPv4: status.IPv4Subnet, IPv6: status.IPv6Subnet}
	if (want.IPv4.IsValid() && want.IPv4 != got.IPv4) || (want.IPv6.IsValid() && want.IPv6 != got.IPv6) {
		return instance.Garbage(fmt.Errorf("made subnets %v and %v, want %v and %v", got.IPv4, got.IPv6, want.IPv4, want.IPv6))
	}
	if c := r.Configuration; c.IPv4Disabled && got.IPv4.IsValid() || c.IPv6Disabled && got.IPv6.IsValid() {
		return fmt.Errorf("cannot leave out an address family, gives %v and %v: %w", got.IPv4, got.IPv6, errdefs.ErrNotImplemented)
	}
	if err := n.service.ledger.Claim(n.id, r.Name, got, want); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved = n.unsaved || n.record.Pinned != got
	n.record.Pinned = got
	return nil
}

// save stores the network, unless it is stored as it is.
func (n *network) save() error {
	n.mu.Lock()
	record, unsaved := n.record, n.unsaved
	n.mu.Unlock()
	if !unsaved {
		return nil
	}
	if err := n.service.config.Records.Put(n.id, record); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved = false
	return nil
}
