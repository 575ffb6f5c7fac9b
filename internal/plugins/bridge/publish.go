package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/link/loopback"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

var _ networkplugin.Publisher = (*Network)(nil)

// Publish forwards host ports to a port by the packet filter. Nothing is
// forwarded to an internal network, and what is published on the loopback address of IPv6
// cannot be.
func (n *Network) Publish(_ context.Context, p networkplugin.Port, ports []resource.PublishedPort) ([]resource.PublishedPort, error) {
	if n.reach != firewall.NAT {
		return nil, fmt.Errorf("variant %s forwards nothing: %w", VariantInternal, errdefs.ErrNotImplemented)
	}
	var published []resource.PublishedPort
	var forwards []firewall.Forward
	for _, port := range ports {
		some := forwardsOf(port, p.Attachment)
		if len(some) > 0 {
			published, forwards = append(published, port), append(forwards, some...)
		}
	}
	links, err := n.open()
	if err != nil {
		return nil, err
	}
	if err := links.LetReturn(n.portName(p.Key)); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(forwards, atLoopback) {
		if err := n.routeLoopback(); err != nil {
			// What is sent to a loopback address and is translated would be lost: the
			// sockets get all of IPv4.
			n.log.Warn("IPv4 ports are forwarded by the container's helper", "error", err)
			forwards = slices.DeleteFunc(forwards, atLoopback)
		}
	}
	if err := n.filter.Publish(n.portName(p.Key), forwards); err != nil {
		return nil, err
	}
	if len(forwards) > 0 {
		n.short.publish(&n.background)
	}
	return published, n.direct.publish(n.portName(p.Key), carried(ports, p.Attachment), &n.background)
}

// routeLoopback has the network's bridge route the host's loopback addresses, once.
func (n *Network) routeLoopback() error {
	n.mu.Lock()
	routed := n.loopback
	n.mu.Unlock()
	if routed {
		return nil
	}
	if err := loopback.Route(n.host, n.bridge, firewall.LoopbackMark); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loopback = true
	return nil
}

// atLoopback tells whether a forward takes what the host sends to a loopback address.
func atLoopback(f firewall.Forward) bool {
	a := f.Host.Addr()
	return a.Is4() && (a.IsUnspecified() || a.IsLoopback())
}

// Unpublish ends that.
func (n *Network) Unpublish(_ context.Context, p networkplugin.Port) error {
	return errors.Join(n.direct.publish(n.portName(p.Key), nil, &n.background), n.filter.Unpublish(n.portName(p.Key)))
}

// forwardsOf is one for each family that both sides have.
func forwardsOf(p resource.PublishedPort, a resource.Attachment) []firewall.Forward {
	var out []firewall.Forward
	for _, side := range []struct {
		all netip.Addr
		own netip.Prefix
	}{{netip.IPv4Unspecified(), a.IPv4Address}, {netip.IPv6Unspecified(), a.IPv6Address}} {
		host := p.HostAddress
		if !host.IsValid() {
			host = side.all
		}
		if !side.own.IsValid() || host.Is4() != side.all.Is4() || host.Is6() && (host.IsLoopback() || host.IsLinkLocalUnicast()) {
			continue
		}
		out = append(out, firewall.Forward{
			Protocol: p.Protocol,
			Host:     netip.AddrPortFrom(host, p.HostPort),
			Target:   netip.AddrPortFrom(side.own.Addr(), p.ContainerPort),
		})
	}
	return out
}
