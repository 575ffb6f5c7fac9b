package networks

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/resource"
)

// Check asks the plugin of a network what on the host is not as it should be. With repair
// the plugin is told to start the network once more, which puts right what is wrong and
// leaves attachments and traffic alone, and is asked again. A network that does not serve is
// errdefs.ErrUnavailable, a plugin that cannot compare is errdefs.ErrNotImplemented.
func (s *Service) Check(ctx context.Context, name string, repair bool) (resource.NetworkCheck, error) {
	n, err := s.find(name)
	if err != nil {
		return resource.NetworkCheck{}, err
	}
	if repair {
		defer s.byID.Lock(n.id)()
		if r := n.stored(); r.Deleting {
			return resource.NetworkCheck{}, fmt.Errorf("network %s: is being deleted: %w", r.Name, errdefs.ErrNotFound)
		}
	}
	before, err := n.faults(ctx)
	if err != nil || !repair || len(before) == 0 {
		return resource.NetworkCheck{Faults: before}, err
	}
	if err := n.repair(ctx); err != nil {
		return resource.NetworkCheck{}, err
	}
	after, err := n.faults(ctx)
	if err != nil {
		return resource.NetworkCheck{}, err
	}
	repaired := slices.DeleteFunc(before, func(fault string) bool { return slices.Contains(after, fault) })
	n.log.Info("network repaired", "repaired", repaired, "left", after)
	return resource.NetworkCheck{Faults: after, Repaired: repaired}, nil
}

func (n *network) faults(ctx context.Context) (faults []string, err error) {
	err = n.lease(ctx, func(ctx context.Context) (*pluginv1.StatusResponse, error) {
		answer, err := n.plugin.Client.Check(ctx, &pluginv1.CheckRequest{})
		faults = answer.GetFaults()
		return nil, err
	})
	if errdefs.IsNotImplemented(err) {
		r := n.stored()
		return nil, fmt.Errorf("network %s: plugin %s does not compare what is on the host: %w", r.Name, r.Configuration.Plugin.Plugin, errdefs.ErrNotImplemented)
	}
	return faults, err
}

func (n *network) repair(ctx context.Context) error {
	return n.lease(ctx, func(ctx context.Context) (*pluginv1.StatusResponse, error) {
		_, err := n.plugin.Client.Start(ctx, n.startRequest(addressing.Near))
		return nil, err
	})
}
