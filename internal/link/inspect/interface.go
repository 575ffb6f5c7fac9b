package inspect

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Interface is one network interface as the kernel describes it.
type Interface struct {
	Name  string
	Index int
	Kind  string // "veth", "bridge", ...; empty for physical ones
	MAC   resource.MACAddress
	// PermanentMAC is that of the hardware; empty where there is none.
	PermanentMAC resource.MACAddress
	MTU          int
	Up           bool // set up by its administrator
	Running      bool // and able to carry traffic
	Loopback     bool
	Alias        string // ifalias, see OwnerAlias
	MasterIndex  int    // of the bridge it is a port of, or 0
	ParentIndex  int    // of the interface below, or the peer, or 0
}

// Interface returns the interface of that name, or errdefs.ErrNotFound.
func (r *Reader) Interface(name string) (Interface, error) {
	l, err := r.byName(name)
	if err != nil {
		return Interface{}, err
	}
	return describe(l), nil
}

// InterfaceAt returns the interface of that index, or errdefs.ErrNotFound.
func (r *Reader) InterfaceAt(index int) (Interface, error) {
	l, err := query(r, func(s *netlink.Handle) (netlink.Link, error) { return s.LinkByIndex(index) })
	if err != nil {
		return Interface{}, notThere(err, strconv.Itoa(index))
	}
	return describe(l), nil
}

func (r *Reader) byName(name string) (netlink.Link, error) {
	l, err := query(r, func(s *netlink.Handle) (netlink.Link, error) { return s.LinkByName(name) })
	if err != nil {
		return nil, notThere(err, name)
	}
	return l, nil
}

// notThere gives the error of a question for one interface its kind.
func notThere(err error, which string) error {
	if errors.Is(err, unix.ENODEV) || errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Errorf("interface %s: is not there: %w", which, errdefs.ErrNotFound)
	}
	return fmt.Errorf("interface %s: %w", which, err)
}

// Interfaces returns all interfaces.
func (r *Reader) Interfaces() ([]Interface, error) {
	links, err := query(r, (*netlink.Handle).LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := make([]Interface, 0, len(links))
	for _, l := range links {
		all = append(all, describe(l))
	}
	return all, nil
}

// FindByMAC returns the interface with that MAC address, or errdefs.ErrNotFound.
// Loopback and bridges are not looked at.
func (r *Reader) FindByMAC(mac resource.MACAddress) (Interface, error) {
	all, err := r.Interfaces()
	if err != nil {
		return Interface{}, err
	}
	for _, i := range all {
		if i.MAC == mac && i.Kind != "bridge" && !i.Loopback {
			return i, nil
		}
	}
	return Interface{}, fmt.Errorf("interface with mac address %s: is not there: %w", mac, errdefs.ErrNotFound)
}

// Has reports whether there is an interface of a name.
func (r *Reader) Has(name string) (bool, error) {
	_, err := r.Index(name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Index returns that of the interface of a name, or errdefs.ErrNotFound.
func (r *Reader) Index(name string) (int, error) {
	index, err := r.raw.Index(name)
	if errors.Is(err, unix.ENODEV) {
		return 0, fmt.Errorf("interface %s: is not there: %w", name, errdefs.ErrNotFound)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return index, nil
}

// naming says what the interface of an index is called. The names of all
// interfaces are a list that is as long as there are ports on the host.
type naming func(index int) string

// names knows all interfaces that there are now.
func (r *Reader) names() (naming, error) {
	all, err := r.Interfaces()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(all))
	for _, i := range all {
		names[i.Index] = i.Name
	}
	return func(index int) string { return names[index] }, nil
}

// Ports returns the interfaces that are ports of the bridge: none of one that is not there.
func (r *Reader) Ports(bridge string) ([]Interface, error) {
	index, err := r.Index(bridge)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	links, err := retried(func() ([]netlink.Link, error) { return r.raw.Ports(index) })
	if err != nil {
		return nil, fmt.Errorf("list ports of %s: %w", bridge, err)
	}
	ports := make([]Interface, len(links))
	for i, l := range links {
		ports[i] = describe(l)
	}
	return ports, nil
}
