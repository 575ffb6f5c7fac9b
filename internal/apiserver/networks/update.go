package networks

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/networks/amend"
	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Update changes a network while it serves, without detaching anyone. All faults
// are reported at once; after an error nothing has changed. Attachments that
// live keep the MTU and name servers that they were made with.
func (s *Service) Update(ctx context.Context, name string, change resource.NetworkChange) (resource.Network, error) {
	n, err := s.find(name)
	if err != nil {
		return resource.Network{}, err
	}
	defer s.byID.Lock(n.id)()
	before := n.stored()
	if before.Deleting {
		return resource.Network{}, fmt.Errorf("network %s: is being deleted: %w", before.Name, errdefs.ErrNotFound)
	}
	next := amend.Changed(before, change)
	if err := amend.Check(before, next, change); err != nil {
		return resource.Network{}, err
	}
	if amend.SameForPlugin(before, next) {
		err := n.replace(next)
		return n.snapshot(), err
	}
	return n.apply(ctx, before, next)
}

// replace stores the record and makes it the one in force.
func (n *network) replace(next resource.StoredNetwork) error {
	if err := n.service.config.Records.Put(n.id, next); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.record, n.unsaved = next, false
	n.publish(event.ActionUpdate, "")
	return nil
}

// apply has the plugin change first, which may refuse. A plugin that is started
// anew in between got the former configuration, and is told again.
func (n *network) apply(ctx context.Context, before, next resource.StoredNetwork) (resource.Network, error) {
	for {
		process := n.plugin.Process()
		status, err := n.change(ctx, next)
		if err != nil {
			return resource.Network{}, err
		}
		if err := n.replace(next); err != nil {
			_, undo := n.change(context.WithoutCancel(ctx), before)
			return resource.Network{}, errors.Join(err, undo)
		}
		if n.plugin.Process() == process {
			n.told(status)
			return n.snapshot(), nil
		}
	}
}

func (n *network) change(ctx context.Context, r resource.StoredNetwork) (resource.NetworkStatus, error) {
	var status resource.NetworkStatus
	err := n.lease(ctx, func(ctx context.Context) (*pluginv1.StatusResponse, error) {
		answer, err := n.plugin.Client.Update(ctx, &pluginv1.UpdateRequest{Configuration: n.service.ledger.Configuration(r, addressing.All)})
		if err != nil {
			return nil, err
		}
		status, err = pluginwire.StatusFromProto(answer.GetStatus())
		return nil, instance.Garbage(err) // its answer has no revision
	})
	return status, err
}
