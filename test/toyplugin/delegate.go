package main

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// Attach makes the interface of a container, in the variant "own": one end of a pair,
// born in the container's namespace, whose other end is a port of the bridge. Addresses
// and routes are the runtime's business.
func (n *toy) Attach(_ context.Context, p networkplugin.Port, interfaceName string) (resource.Attachment, error) {
	if err := remove(n.port(p)); err != nil { // left by somebody who was killed
		return resource.Attachment{}, err
	}
	sandbox, err := netns.GetFromPath(p.NetworkNamespace)
	if err != nil {
		return resource.Attachment{}, fmt.Errorf("network namespace %s: %w", p.NetworkNamespace, err)
	}
	defer sandbox.Close()
	bridge, err := netlink.LinkByName(n.bridge)
	if err != nil {
		return resource.Attachment{}, fmt.Errorf("bridge %s: %w", n.bridge, err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU, attributes.MasterIndex = n.port(p), p.Attachment.MTU, bridge.Attrs().Index
	pair := &netlink.Veth{
		LinkAttrs: attributes, PeerName: interfaceName,
		PeerNamespace: netlink.NsFd(sandbox), PeerHardwareAddr: p.Attachment.MACAddress.HardwareAddr(), PeerMTU: uint32(p.Attachment.MTU),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return resource.Attachment{}, fmt.Errorf("interface %s: %w", interfaceName, err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return resource.Attachment{}, fmt.Errorf("port %s: %w", n.port(p), err)
	}
	return p.Attachment, nil
}

// Detach removes the pair: one end goes with the other.
func (n *toy) Detach(_ context.Context, p networkplugin.Port, _ string) error {
	return remove(n.port(p))
}
