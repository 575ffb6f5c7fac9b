package sandbox

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/internal/sandbox/explain"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Explain says which way packets take from the sandbox to an address or name,
// and why; for an empty target to each network and the internet. An engine
// that is no explain.Kernel cannot: errdefs.ErrNotImplemented.
func (s *Sandbox) Explain(ctx context.Context, target string) ([]resource.Explanation, error) {
	s.mu.Lock()
	state, allocated := s.state, s.design.allocated
	s.mu.Unlock()
	if state != Created && state != Running {
		return nil, fmt.Errorf("sandbox %s: has no network, it is %v: %w", s.config.ID, state, errdefs.ErrFailedPrecondition)
	}
	kernel, ok := s.config.Engine.(explain.Kernel)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: its runtime cannot be asked for routes: %w", s.config.ID, errdefs.ErrNotImplemented)
	}
	return explain.Explainer{Attachments: allocated, Kernel: kernel, Plugins: rpcPlugins{}}.Explain(ctx, target)
}

// rpcPlugins is explain.Plugins over the wire.
type rpcPlugins struct{}

func (rpcPlugins) Lookup(ctx context.Context, lease resource.LeaseReference, name string) ([]resource.Attachment, error) {
	plugin := client.DialNetworkPlugin(lease.Socket, lease.Codec)
	defer plugin.Close()
	answer, err := plugin.Lookup(ctx, &pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Name{Name: name}})
	if err != nil {
		return nil, err
	}
	return wire.AttachmentsFromProto(answer.GetAttachments())
}

func (rpcPlugins) Verdict(ctx context.Context, lease resource.LeaseReference, destination netip.Addr) (resource.Explained, error) {
	plugin := client.DialNetworkPlugin(lease.Socket, lease.Codec)
	defer plugin.Close()
	answer, err := plugin.Explain(ctx, &pluginv1.ExplainRequest{Key: lease.Key, Destination: destination.String()})
	return wire.ExplainedFromProto(answer.GetVerdict()), err
}
