package networkplugin

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// capabilities names the optional interfaces that callers have to know of.
func capabilities(network any) []string {
	var out []string
	if _, ok := network.(Publisher); ok {
		out = append(out, "publish")
	}
	if _, ok := network.(Delegate); ok {
		out = append(out, "delegated")
	}
	return out
}

func notImplemented(name, what string) error {
	return fmt.Errorf("plugin %s: does not %s: %w", name, what, errdefs.ErrNotImplemented)
}

// onPort calls an optional interface of the network with the port of a held
// lease, with no other call for that port at the same time.
func onPort[T any](s *service, key, what string, call func(T, Port) error) error {
	return s.table.OnPort(key, func(p lease.Port) error {
		network, err := s.serving()
		if err != nil {
			return err
		}
		able, ok := network.(T)
		if !ok {
			return notImplemented(s.Plugin.Name, what)
		}
		return call(able, Port(p))
	})
}

// Publish implements the contract.
func (h *harness) Publish(ctx context.Context, r *pluginv1.PublishRequest) (*pluginv1.PublishResponse, error) {
	wanted, err := wire.PublishedPortsFromProto(r.GetPorts())
	if err != nil {
		return nil, err
	}
	var got []resource.PublishedPort
	err = onPort(h.service, r.GetKey(), "publish ports", func(p Publisher, port Port) (err error) {
		got, err = p.Publish(ctx, port, wanted)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pluginv1.PublishResponse{Ports: wire.PublishedPortsToProto(got)}, nil
}

// Unpublish implements the contract.
func (h *harness) Unpublish(ctx context.Context, r *pluginv1.UnpublishRequest) (*pluginv1.UnpublishResponse, error) {
	return &pluginv1.UnpublishResponse{}, onPort(h.service, r.GetKey(), "publish ports", func(p Publisher, port Port) error {
		return p.Unpublish(ctx, port)
	})
}

// Attach implements the contract.
func (h *harness) Attach(ctx context.Context, r *pluginv1.AttachRequest) (*pluginv1.AttachResponse, error) {
	var attachment resource.Attachment
	err := onPort(h.service, r.GetKey(), "make interfaces", func(d Delegate, port Port) (err error) {
		port.NetworkNamespace = r.GetNetworkNamespace()
		attachment, err = d.Attach(ctx, port, r.GetInterfaceName())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pluginv1.AttachResponse{Attachment: wire.AttachmentToProto(attachment)}, nil
}

// Detach implements the contract.
func (h *harness) Detach(ctx context.Context, r *pluginv1.DetachRequest) (*pluginv1.DetachResponse, error) {
	return &pluginv1.DetachResponse{}, onPort(h.service, r.GetKey(), "make interfaces", func(d Delegate, port Port) error {
		port.NetworkNamespace = r.GetNetworkNamespace()
		return d.Detach(ctx, port, r.GetInterfaceName())
	})
}

// Explain implements the contract.
func (h *harness) Explain(ctx context.Context, r *pluginv1.ExplainRequest) (*pluginv1.ExplainResponse, error) {
	destination, err := netip.ParseAddr(r.GetDestination())
	if err != nil {
		return nil, fmt.Errorf("destination %q: want an address: %w", r.GetDestination(), errdefs.ErrInvalidArgument)
	}
	var verdict Verdict
	err = onPort(h.service, r.GetKey(), "explain what it lets through", func(e Explainer, port Port) (err error) {
		verdict, err = e.Explain(ctx, port, destination)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pluginv1.ExplainResponse{Verdict: wire.ExplainedToProto(resource.Explained{Answer: verdict.Answer, Why: verdict.Why})}, nil
}
