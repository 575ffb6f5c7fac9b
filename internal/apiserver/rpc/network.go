package rpc

import (
	"context"
	"iter"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// Networks is the network service.
type Networks interface {
	Create(ctx context.Context, name string, labels map[string]string, c resource.NetworkConfiguration) (resource.Network, error)
	List(ctx context.Context) []*snapshot.Of[resource.Network]
	// Get returns a network without its attachments, and those, each valid until the next.
	Get(ctx context.Context, name string) (resource.Network, iter.Seq2[resource.NetworkAttachment, error], error)
	Update(ctx context.Context, name string, change resource.NetworkChange) (resource.Network, error)
	Delete(ctx context.Context, name string) error
	Prune(ctx context.Context) ([]string, error)
	Check(ctx context.Context, name string, repair bool) (resource.NetworkCheck, error)
}

type networkHarness struct {
	apiserverv1connect.UnimplementedNetworkServiceHandler
	service Networks
}

// NewNetworks returns the harness of the network service.
func NewNetworks(s Networks) apiserverv1connect.NetworkServiceHandler {
	return &networkHarness{service: s}
}

func (h *networkHarness) Create(ctx context.Context, r *apiserverv1.NetworkServiceCreateRequest) (*apiserverv1.NetworkServiceCreateResponse, error) {
	configuration, err := apiwire.NetworkConfigurationFromProto(r.GetConfiguration())
	if err != nil {
		return nil, err
	}
	n, err := h.service.Create(ctx, r.GetName(), r.GetLabels(), configuration)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.NetworkServiceCreateResponse{Network: apiwire.NetworkToProto(n)}, nil
}

func (h *networkHarness) List(ctx context.Context, _ *apiserverv1.NetworkServiceListRequest) (*apiserverv1.NetworkServiceListResponse, error) {
	var out apiserverv1.NetworkServiceListResponse
	return &out, encodeList(&out, h.service.List(ctx), snapshot.Whole, func(n *resource.Network) message.Message {
		return &apiserverv1.NetworkServiceListResponse{Networks: []*apiserverv1.Network{apiwire.NetworkToProto(*n)}}
	})
}

func (h *networkHarness) Get(ctx context.Context, r *apiserverv1.NetworkServiceGetRequest) (*apiserverv1.NetworkServiceGetResponse, error) {
	n, attachments, err := h.service.Get(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	one := &apiserverv1.NetworkAttachment{Attachment: new(typesv1.Attachment)}
	alone := &apiserverv1.NetworkServiceGetResponse{Network: &apiserverv1.Network{Status: &apiserverv1.NetworkStatus{Attachments: []*apiserverv1.NetworkAttachment{one}}}}
	// All of them are taken from the plugin before the first is sent: it does not wait for who reads slowly.
	parts, err := message.Gather(message.Sequence(attachments, func(a resource.NetworkAttachment) message.Message {
		apiwire.NetworkAttachmentInto(one, a)
		return alone
	}))
	out := &apiserverv1.NetworkServiceGetResponse{Network: apiwire.NetworkToProto(n)}
	out.SetFields(parts)
	return out, err
}

func (h *networkHarness) Update(ctx context.Context, r *apiserverv1.NetworkServiceUpdateRequest) (*apiserverv1.NetworkServiceUpdateResponse, error) {
	change, err := apiwire.NetworkChangeFromProto(r)
	if err != nil {
		return nil, err
	}
	n, err := h.service.Update(ctx, r.GetName(), change)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.NetworkServiceUpdateResponse{Network: apiwire.NetworkToProto(n)}, nil
}

func (h *networkHarness) Delete(ctx context.Context, r *apiserverv1.NetworkServiceDeleteRequest) (*apiserverv1.NetworkServiceDeleteResponse, error) {
	return &apiserverv1.NetworkServiceDeleteResponse{}, h.service.Delete(ctx, r.GetName())
}

func (h *networkHarness) Prune(ctx context.Context, _ *apiserverv1.NetworkServicePruneRequest) (*apiserverv1.NetworkServicePruneResponse, error) {
	deleted, err := h.service.Prune(ctx)
	return &apiserverv1.NetworkServicePruneResponse{Deleted: deleted}, err
}

func (h *networkHarness) Check(ctx context.Context, r *apiserverv1.NetworkServiceCheckRequest) (*apiserverv1.NetworkServiceCheckResponse, error) {
	found, err := h.service.Check(ctx, r.GetName(), r.GetRepair())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.NetworkServiceCheckResponse{Faults: found.Faults, Repaired: found.Repaired}, nil
}
