// Package strategy has the interface strategies of runtimes: pure functions from
// what a network plugin allocated to the plan of a device. A strategy is a kind
// of link with typed parameters (resource.BridgePortParameters and so on), not
// one plugin's private code.
package strategy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

// maxName is the longest interface name (IFNAMSIZ of netdevice(7), less the
// final zero).
const maxName = 15

// maxSocket is the longest path of a unix socket (sun_path of unix(7), less the
// final zero).
const maxSocket = 107

// Table returns the strategies by their names in manifests.
func Table() map[string]wiring.Strategy {
	return map[string]wiring.Strategy{
		resource.StrategyBridgePort: BridgePort{},
		resource.StrategyMacvlan:    Macvlan{},
		resource.StrategyHostDevice: HostDevice{},
		resource.StrategyTapStream:  TapStream{},
		resource.StrategyDelegated:  Delegated{},
	}
}

// Only returns the strategies of some names.
func Only(names ...string) map[string]wiring.Strategy {
	some := Table()
	maps.DeleteFunc(some, func(name string, _ wiring.Strategy) bool { return !slices.Contains(names, name) })
	return some
}

// BridgePort plans a port of an existing bridge.
type BridgePort struct{}

var _ wiring.Strategy = BridgePort{}

// Interface implements wiring.Strategy. Additional data that is not
// BridgePortParameters is errdefs.ErrFailedPrecondition.
func (BridgePort) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	var p resource.BridgePortParameters
	if err := decode(a, &p); err != nil {
		return wiring.Interface{}, err
	}
	if err := hostNames(a, "bridge", p.Bridge, "port", p.Port); err != nil {
		return wiring.Interface{}, err
	}
	return plan(a, index, wiring.BridgePort{Bridge: p.Bridge, Port: p.Port, Familiar: p.Familiar})
}

// Macvlan plans an interface with its own MAC address on a parent's LAN.
type Macvlan struct{}

var _ wiring.Strategy = Macvlan{}

// Interface implements wiring.Strategy. Additional data that is not
// MacvlanParameters is errdefs.ErrFailedPrecondition.
func (Macvlan) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	var p resource.MacvlanParameters
	if err := decode(a, &p); err != nil {
		return wiring.Interface{}, err
	}
	if err := hostNames(a, "parent", p.Parent); err != nil {
		return wiring.Interface{}, err
	}
	if p.Mode != resource.MacvlanBridge && p.Mode != resource.MacvlanPrivate {
		return wiring.Interface{}, bad(a, fmt.Sprintf("mode %q: want %q or %q", p.Mode, resource.MacvlanBridge, resource.MacvlanPrivate))
	}
	return plan(a, index, wiring.Macvlan{Parent: p.Parent, Mode: p.Mode})
}

// HostDevice plans an interface of the host that is moved in.
type HostDevice struct{}

var _ wiring.Strategy = HostDevice{}

// Interface implements wiring.Strategy. Additional data that is not
// HostDeviceParameters is errdefs.ErrFailedPrecondition. The MAC address is that
// of the parameters: hardware may take no other.
func (HostDevice) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	var p resource.HostDeviceParameters
	if err := decode(a, &p); err != nil {
		return wiring.Interface{}, err
	}
	if err := hostNames(a, "device", p.Device); err != nil {
		return wiring.Interface{}, err
	}
	a.Attachment.MACAddress = p.MAC
	return plan(a, index, wiring.HostDevice{Device: p.Device})
}

// TapStream plans an interface whose frames go over a unix stream socket.
type TapStream struct{}

var _ wiring.Strategy = TapStream{}

// Interface implements wiring.Strategy. Additional data that is not
// TapStreamParameters is errdefs.ErrFailedPrecondition.
func (TapStream) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	var p resource.TapStreamParameters
	if err := decode(a, &p); err != nil {
		return wiring.Interface{}, err
	}
	if !filepath.IsAbs(p.Socket) || len(p.Socket) > maxSocket {
		return wiring.Interface{}, bad(a, fmt.Sprintf("socket %q: want an absolute path of at most %d bytes", p.Socket, maxSocket))
	}
	return plan(a, index, wiring.TapStream{Socket: p.Socket})
}

// Delegated plans an interface that its plugin makes.
type Delegated struct{}

var _ wiring.Strategy = Delegated{}

// Interface implements wiring.Strategy. The additional data is of no account: the
// plugin knows best what it means to make.
func (Delegated) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	return plan(a, index, wiring.Delegated{Lease: a.Lease})
}

func bad(a resource.AllocatedAttachment, text string) error {
	return fmt.Errorf("plugin %s gave additional data that strategy %s does not understand: %s: %w",
		a.Plugin, a.Strategy, text, errdefs.ErrFailedPrecondition)
}

func decode(a resource.AllocatedAttachment, parameters any) error {
	if err := json.Unmarshal(a.AdditionalData, parameters); err != nil {
		return bad(a, err.Error())
	}
	return nil
}

// hostNames checks pairs of a parameter's name and its value.
func hostNames(a resource.AllocatedAttachment, pairs ...string) error {
	for p := range slices.Chunk(pairs, 2) {
		if !validName(p[1]) {
			return bad(a, fmt.Sprintf("%s %q: want the name of a host interface", p[0], p[1]))
		}
	}
	return nil
}

// validName reports whether the kernel takes s as an interface name
// (dev_valid_name in net/core/dev.c).
func validName(s string) bool {
	return s != "" && len(s) <= maxName && s != "." && s != ".." &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == ':' || r <= ' ' || r == 0x7f })
}

// plan is what all strategies do alike.
func plan(a resource.AllocatedAttachment, index int, link wiring.Link) (wiring.Interface, error) {
	at := a.Attachment
	i := wiring.Interface{
		Name:    at.InterfaceName,
		Link:    link,
		MAC:     at.MACAddress,
		MTU:     at.MTU,
		Sysctls: at.Sysctls,
		RateIn:  at.RateIn,
		RateOut: at.RateOut,
	}
	if i.Name == "" {
		i.Name = fmt.Sprintf("eth%d", index)
	}
	if !validName(i.Name) || i.Name == "lo" {
		return wiring.Interface{}, fmt.Errorf("interface name %q: want 1 to %d characters without space, '/' and ':', and not lo: %w",
			i.Name, maxName, errdefs.ErrInvalidArgument)
	}
	for _, address := range []netip.Prefix{at.IPv4Address, at.IPv6Address} {
		if address.IsValid() {
			i.Addresses = append(i.Addresses, address)
		}
	}
	return i, nil
}
