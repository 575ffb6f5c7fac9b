package networks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/apiserver/networks/knowledge"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// defaultLeaseTimeout bounds every call about a lease, with the time that a plugin may
// need to come back.
const defaultLeaseTimeout = 10 * time.Second

// Allocate asks a network for an attachment, for the container whose name is
// owner. It is idempotent by key, and pending until the sandbox holds it; the
// plugin takes back what is not held in time. A network that is starting is
// waited for, one that does not serve is errdefs.ErrUnavailable.
func (s *Service) Allocate(ctx context.Context, networkID, key, owner string, wish resource.AttachmentConfiguration) (resource.AllocatedAttachment, error) {
	n, err := s.get(networkID)
	if err != nil {
		return resource.AllocatedAttachment{}, err
	}
	strategy, err := s.Strategy(networkID)
	if err != nil {
		return resource.AllocatedAttachment{}, err
	}
	var answer *pluginv1.AllocateResponse
	err = n.wish(ctx, func(ctx context.Context) (after *pluginv1.StatusResponse, err error) {
		answer, err = n.plugin.Client.Allocate(ctx, &pluginv1.AllocateRequest{
			Key:           key,
			Owner:         owner,
			Configuration: wire.AttachmentConfigurationToProto(wish),
		})
		return answer.GetAfter(), err
	})
	if err != nil {
		return resource.AllocatedAttachment{}, err
	}
	attachment, err := wire.AttachmentFromProto(answer.GetAttachment())
	if err == nil && len(answer.GetAdditionalData()) > 0 && !json.Valid(answer.GetAdditionalData()) {
		err = errors.New("additional data is not json")
	}
	if err != nil {
		return resource.AllocatedAttachment{}, n.plugin.Blame(instance.Garbage(err))
	}
	s.memory.Note(n.id, key, attachment)
	r := n.stored()
	attachment.NetworkID, attachment.Network = n.id, r.Name
	attachment.InterfaceName, attachment.GatewayPriority, attachment.Sysctls = wish.InterfaceName, wish.GatewayPriority, wish.Sysctls
	attachment.DNS = addressing.AttachedDNS(r.Configuration.DNS, attachment.DNS)
	attachment.Routes = append(attachment.Routes, addressing.AttachedRoutes(r.Configuration.Routes, attachment)...)
	attachment.RateIn, attachment.RateOut = wish.RateIn, wish.RateOut
	return resource.AllocatedAttachment{
		Attachment:     attachment,
		Plugin:         r.Configuration.Plugin,
		Strategy:       strategy,
		AdditionalData: answer.GetAdditionalData(),
		Lease:          resource.LeaseReference{Key: key, Socket: s.config.Roots.PluginSocket(n.id), Codec: n.plugin.Codec()},
	}, nil
}

// Release gives up the lease of a key, if there is one; with forget also what is
// set aside or remembered for the key. A network that is gone is no error. A
// plugin that is down is: a pending lease ends by itself then, and what is to be
// forgotten is, when the plugin is started again.
func (s *Service) Release(ctx context.Context, networkID, key string, forget bool) error {
	n, err := s.get(networkID)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	if forget {
		s.memory.Forget(n.id, key)
	}
	return n.lease(ctx, func(ctx context.Context) (*pluginv1.StatusResponse, error) {
		answer, err := n.plugin.Client.Release(ctx, &pluginv1.ReleaseRequest{Key: key, Forget: forget})
		return answer.GetAfter(), err
	})
}

// Reserve sets static addresses aside for a key, so that nobody else gets them
// while its container is stopped. Idempotent by key.
func (s *Service) Reserve(ctx context.Context, networkID string, r pluginwire.Reservation) error {
	n, err := s.get(networkID)
	if err != nil {
		return err
	}
	return n.wish(ctx, func(ctx context.Context) (*pluginv1.StatusResponse, error) {
		answer, err := n.plugin.Client.Reserve(ctx, &pluginv1.ReserveRequest{Reservation: pluginwire.ReservationToProto(r)})
		return answer.GetAfter(), err
	})
}

// call asks a plugin for something about a lease, which can be asked again without harm. It returns what the plugin
// tells of its status after it.
type call func(context.Context) (after *pluginv1.StatusResponse, err error)

// lease makes a call, and makes it once more when the plugin dies under it.
func (n *network) lease(ctx context.Context, f call) (err error) {
	ctx, span := trace.Start(ctx, "ask the network")
	defer span.EndBy(&err)
	if span != nil {
		span.Note("network", n.name)
	}
	ctx, cancel := context.WithTimeout(ctx, n.service.config.LeaseTimeout)
	defer cancel()
	for again := true; ; again = false {
		if err := n.serving(ctx); err != nil {
			return err
		}
		process, epoch := n.plugin.Process(), n.epoch()
		after, err := f(ctx)
		n.learn(after, err, epoch)
		switch {
		case err == nil:
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return n.plugin.Blame(fmt.Errorf("did not answer in time: %w", errdefs.ErrUnavailable))
		case !again || !errors.Is(err, errdefs.ErrUnavailable) || process == nil:
			return n.plugin.Blame(err)
		}
		if !n.restarting(ctx, process) {
			return n.plugin.Blame(err)
		}
	}
}

// learn takes in what a call about a lease was answered with, that was made in an epoch.
func (n *network) learn(after *pluginv1.StatusResponse, err error, epoch int) {
	var status resource.NetworkStatus
	if err == nil && after != nil {
		status, err = pluginwire.StatusFromProto(after.GetStatus())
	}
	n.note(func(k *knowledge.Knowledge) {
		if err != nil {
			k.Doubt()
			return
		}
		n.status = k.Change(n.status, status, after.GetRevision(), epoch)
	})
}
