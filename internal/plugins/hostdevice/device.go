package hostdevice

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// device is what an interface was on the host, to make it that again. It is
// written down before the interface leaves.
type device struct {
	Name         string
	Kind         string
	MAC          resource.MACAddress // empty: it has none
	PermanentMAC resource.MACAddress // of the hardware; empty: virtual
	MTU          int
	Up           bool
	Alias        string
	Sysctls      map[string]string
	Addresses    []netip.Prefix
	Routes       []resource.Route

	Key, Owner string // of the port that it is lent to; empty: none
}

// recordName is a file in the network's state directory.
const recordName = "device.json"

func (n *Network) recordPath() string { return filepath.Join(n.directory, recordName) }

func (n *Network) write(d device) error {
	if n.directory == "" {
		return nil
	}
	return atomicfile.WriteJSON(n.recordPath(), d, 0o600)
}

// read returns a device without a name where nothing is written.
func (n *Network) read() (device, error) {
	var d device
	if n.directory == "" {
		return d, nil
	}
	err := atomicfile.ReadJSON(n.recordPath(), &d)
	if errdefs.IsNotFound(err) {
		return device{}, nil
	}
	return d, err
}

func (n *Network) erase() error {
	if n.directory == "" {
		return nil
	}
	return atomicfile.Remove(n.recordPath())
}

// look describes the interface of that name as it is on the host.
func look(links *link.Handle, name string) (device, inspect.Interface, error) {
	i, err := links.Interface(name)
	if err != nil {
		return device{}, i, err
	}
	d := device{Name: i.Name, Kind: i.Kind, MAC: i.MAC, PermanentMAC: i.PermanentMAC, MTU: i.MTU, Up: i.Up, Alias: i.Alias}
	err = links.Inside(func() (err error) {
		d.Sysctls, err = sysctl.All(name)
		return err
	})
	if err != nil {
		return device{}, i, err
	}
	addresses, err := links.Addresses()
	if err != nil {
		return device{}, i, err
	}
	for _, a := range addresses {
		if a.Interface == name && !a.Prefix.Addr().IsLinkLocalUnicast() {
			d.Addresses = append(d.Addresses, a.Prefix)
		}
	}
	routes, err := links.Routes()
	if err != nil {
		return device{}, i, err
	}
	var via []resource.Route // after those that their gateways need
	for _, r := range routes {
		route := resource.Route{Destination: r.Destination, Gateway: r.Gateway}
		switch {
		case r.Interface != name || connected(d.Addresses, r) || r.Destination.Addr().IsLinkLocalUnicast() || r.Destination.Addr().IsMulticast():
		case r.Gateway.IsValid():
			via = append(via, route)
		default:
			d.Routes = append(d.Routes, route)
		}
	}
	d.Routes = append(d.Routes, via...)
	return d, i, nil
}

// connected reports whether a route comes with an address.
func connected(addresses []netip.Prefix, r inspect.HostRoute) bool {
	return !r.Gateway.IsValid() && slices.ContainsFunc(addresses, func(a netip.Prefix) bool { return a.Masked() == r.Destination })
}

// fit refuses interfaces that must not leave the host.
func fit(i inspect.Interface, uplink string) error {
	why := ""
	switch {
	case i.Loopback:
		why = "is the loopback interface; give another"
	case i.Kind == "bridge":
		why = "is a bridge, which the kernel does not move; give another"
	case i.MasterIndex != 0:
		why = "is a port of a bridge or bond; take it out first"
	case i.Name == uplink:
		why = "has the host's default route; without it the host is cut off"
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("option device=%s: the interface %s: %w", i.Name, why, errdefs.ErrInvalidArgument)
}

// uplink is the name of the interface of the host's default route, or empty.
func uplink(links *link.Handle) (string, error) {
	i, err := links.DefaultRouteInterface()
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	return i.Name, err
}

// find returns the interface among those of a namespace. The alias was put on it
// before it left; with CAP_NET_ADMIN all but the permanent address can be
// changed, so whatever is left of it counts, the surest first.
func (d device) find(all []inspect.Interface, alias string, inside *resource.Attachment) (inspect.Interface, bool) {
	is := []func(inspect.Interface) bool{
		func(i inspect.Interface) bool { return i.Alias == alias },
		func(i inspect.Interface) bool { return d.PermanentMAC != "" && i.PermanentMAC == d.PermanentMAC },
	}
	if inside != nil {
		is = append(is,
			func(i inspect.Interface) bool { return d.MAC != "" && i.MAC == d.MAC },
			func(i inspect.Interface) bool { return i.MAC != "" && i.MAC == inside.MACAddress },
			func(i inspect.Interface) bool { return i.Name == inside.InterfaceName })
	}
	for _, matches := range is {
		for _, i := range all {
			others := i.Alias != alias && strings.HasPrefix(i.Alias, aliasPrefix)
			if i.Kind == d.Kind && !i.Loopback && !others && matches(i) {
				return i, true
			}
		}
	}
	return inspect.Interface{}, false
}

// aliasPrefix is that of all aliases of Patchbay (link.OwnerAlias).
var aliasPrefix = link.OwnerAlias("")

// settle makes an interface that is on the host again what it was there. It can
// be done again.
func (d device) settle(links *link.Handle, i inspect.Interface) error {
	if err := links.MoveIndex(i.Index, link.Peer{Name: d.Name, MAC: d.MAC, MTU: d.MTU}); err != nil {
		return err
	}
	// Before it is up: they say which addresses it gives itself.
	restored := links.Inside(func() error { return sysctl.SetAll(d.Name, d.Sysctls) })
	if d.Up {
		restored = errors.Join(restored, links.Restore(i.Index, d.Addresses, d.Routes))
	}
	if restored != nil {
		restored = fmt.Errorf("device %s: settings, addresses and routes: %w", d.Name, restored)
	}
	return errors.Join(restored, links.SetAlias(i.Index, d.Alias))
}
