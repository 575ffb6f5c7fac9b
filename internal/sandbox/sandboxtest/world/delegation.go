//go:build integration

package world

import (
	"context"
	"fmt"

	"connectrpc.com/connect/v2"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// delegation is an interface that a plugin makes itself: a port of a bridge.
type delegation struct {
	links        *link.Handle // on the host
	bridge, port string
	attachment   *typesv1.Attachment
}

// delegate has the plugin make the interface of a lease, if a runtime asks it to.
func (p *Plugin) delegate(key string, d delegation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delegations[key] = d
}

func (p *Plugin) delegation(key string) (delegation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok := p.delegations[key]
	if !ok || !p.held[key] {
		return d, connect.NewError(connect.CodeNotFound, fmt.Sprintf("lease %s: is not held", key))
	}
	return d, nil
}

// Attach implements the contract of plugins.
func (p *Plugin) Attach(_ context.Context, r *pluginv1.AttachRequest) (*pluginv1.AttachResponse, error) {
	d, err := p.delegation(r.GetKey())
	if err != nil {
		return nil, err
	}
	ns, err := netns.OpenPath(r.GetNetworkNamespace())
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	peer := link.Peer{Namespace: ns, Name: r.GetInterfaceName(), MAC: resource.MACAddress(d.attachment.GetMacAddress()), MTU: int(d.attachment.GetMtu())}
	if p.Spoil != nil {
		p.Spoil(&peer)
	}
	if err := d.links.AddBridgePort(d.bridge, d.port, peer); err != nil {
		return nil, err
	}
	return &pluginv1.AttachResponse{Attachment: d.attachment}, nil
}

// Detach implements the contract of plugins.
func (p *Plugin) Detach(_ context.Context, r *pluginv1.DetachRequest) (*pluginv1.DetachResponse, error) {
	d, err := p.delegation(r.GetKey())
	if err != nil {
		return nil, err
	}
	return &pluginv1.DetachResponse{}, d.links.Delete(d.port)
}

// expel removes what the plugin has made for leases that are held no longer.
func (p *Plugin) expel(keys []string) {
	for _, key := range keys {
		p.mu.Lock()
		d, ok := p.delegations[key]
		p.mu.Unlock()
		if ok {
			_ = d.links.Delete(d.port) // what is left shows on the bridge
		}
	}
}
