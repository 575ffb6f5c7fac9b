// Package wiring plans the interfaces of a sandbox, with their routes, from what its
// networks have allocated. It is pure: what a plan says is made by a runtime.
package wiring

import (
	"net/netip"

	"patchbay.dev/patchbay/resource"
)

// Interface is a plan for one virtual device in a sandbox. It is a plain
// value: making it touches nothing, comparing two needs no kernel.
type Interface struct {
	Name      string // inside the sandbox
	Link      Link
	MAC       resource.MACAddress
	MTU       int               // 0: the kernel's default for the link
	Addresses []netip.Prefix    // in the order of IPv4, IPv6
	Sysctls   map[string]string // see resource.Attachment
	RateIn    resource.BitRate  // to the sandbox; 0: no limit
	RateOut   resource.BitRate  // from the sandbox
	// Routes of the main table, default routes too; those that come with the
	// addresses are not among them.
	Routes []resource.Route
	// OwnRoutes are all routes of the interface's own table, by which goes what
	// is sent from its addresses or is bound to it. Of a family that is in
	// it nothing else can be reached from there; none: it has no such table.
	OwnRoutes []resource.Route
}

// Link is the kind of device: one of the types of this package.
type Link interface{ link() }

// BridgePort is a port of an existing bridge: a veth pair for namespaces, a tap
// for virtual machines.
type BridgePort struct {
	Bridge string // host interface name
	Port   string // name of the host's end
	// Familiar is that of resource.BridgePortParameters.
	Familiar bool
}

// Macvlan is an interface on a parent's LAN: a macvlan for namespaces, a macvtap
// for virtual machines.
type Macvlan struct {
	Parent string
	Mode   resource.MacvlanMode
}

// HostDevice is an interface of the host that is moved in. Its network takes it
// back when the lease ends; the sandbox never deletes it.
type HostDevice struct {
	Device string // host interface name
}

// TapStream is an interface whose frames go over a unix stream socket: a tap for
// namespaces, a datagram socket for virtual machines.
type TapStream struct {
	Socket string // absolute path
}

// Delegated is an interface that the plugin which gave its lease makes itself, in the
// network namespace that it is told.
type Delegated struct {
	Lease resource.LeaseReference
}

func (BridgePort) link() {}
func (Macvlan) link()    {}
func (HostDevice) link() {}
func (TapStream) link()  {}
func (Delegated) link()  {}

// Strategy turns an allocation into a plan without routes, which depend
// on all of the sandbox. It is pure: index is the place of the attachment among
// them, which gives the default name.
type Strategy interface {
	Interface(a resource.AllocatedAttachment, index int) (Interface, error)
}
