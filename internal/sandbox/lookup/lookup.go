// Package lookup asks network plugins what they know, straight by their sockets:
// it works without patchbayd.
package lookup

import (
	"context"
	"net/netip"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/sandbox/explain"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Names asks one plugin for names and addresses.
type Names struct{ Plugin *pluginclient.Client }

var _ resolver.Source = Names{}

// ByName implements resolver.Source.
func (n Names) ByName(ctx context.Context, name string) ([]resolver.Match, error) {
	return n.lookup(ctx, &pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Name{Name: name}})
}

// ByAddress implements resolver.Source.
func (n Names) ByAddress(ctx context.Context, address netip.Addr) ([]resolver.Match, error) {
	return n.lookup(ctx, &pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Address{Address: address.String()}})
}

func (n Names) lookup(ctx context.Context, r *pluginv1.LookupRequest) ([]resolver.Match, error) {
	answer, err := n.Plugin.Lookup(ctx, r)
	if err != nil {
		return nil, err
	}
	all, err := pluginwire.FoundFromProto(answer)
	if err != nil {
		return nil, err
	}
	var out []resolver.Match
	for _, f := range all {
		m := resolver.Match{Owner: f.Owner}
		for _, prefix := range []netip.Prefix{f.Attachment.IPv4Address, f.Attachment.IPv6Address} {
			if prefix.IsValid() {
				m.Addresses = append(m.Addresses, prefix.Addr())
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// Plugins asks the plugins of leases, each by a connection of its own.
type Plugins struct{}

var _ explain.Plugins = Plugins{}

// Lookup implements explain.Plugins.
func (Plugins) Lookup(ctx context.Context, lease resource.LeaseReference, name string) ([]resource.Attachment, error) {
	plugin := pluginclient.Dial(lease.Socket, lease.Codec)
	defer plugin.Close()
	answer, err := plugin.Lookup(ctx, &pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Name{Name: name}})
	if err != nil {
		return nil, err
	}
	return wire.AttachmentsFromProto(answer.GetAttachments())
}

// Verdict implements explain.Plugins.
func (Plugins) Verdict(ctx context.Context, lease resource.LeaseReference, destination netip.Addr) (resource.Explained, error) {
	plugin := pluginclient.Dial(lease.Socket, lease.Codec)
	defer plugin.Close()
	answer, err := plugin.Explain(ctx, &pluginv1.ExplainRequest{Key: lease.Key, Destination: destination.String()})
	return wire.ExplainedFromProto(answer.GetVerdict()), err
}
