package networkplugin

import (
	"context"
	"log/slog"
	"net/netip"

	"patchbay.dev/patchbay/resource"
)

// Network is what the author of a plugin implements: how one network looks on
// the host. Addresses, leases, names, persistence and the wire come with the
// SDK, which calls Start before anything else and never calls two of the
// methods that take a Port for the same key at once. Different keys may be
// served at the same time.
//
// Errors carry a kind of github.com/containerd/errdefs.
type Network interface {
	// Start creates the network or adopts what is left of it, for example
	// after the plugin was killed; it repairs what is broken and keeps what is
	// in use, above all the ports of c.Ports, whose sandboxes may be live. The
	// first answer for a network fixes its subnets: after a restart they come
	// back as given ones. After a failed Start comes Stop or Start again.
	Start(ctx context.Context, c Configuration) (Realization, error)

	// Plan returns the parameters of the strategy that the manifest names for
	// the network's variant, such as resource.BridgePortParameters; they travel
	// as JSON. It refuses options that it does not know, and touches nothing:
	// the port may never come to life.
	Plan(p Port, options map[string]string) (any, error)

	// Admit lets a port send and receive. It is called before the sandbox makes
	// its interface, and again when a sandbox holds its lease anew, for example
	// after the plugin was restarted. A port whose Admit failed is expelled.
	Admit(ctx context.Context, p Port) error

	// Expel takes a port off the network, at once and whatever the sandbox
	// does or no longer does: after it, no left-over process can use the port's
	// addresses, which are free for others then. It succeeds when there is
	// nothing left to take off.
	Expel(ctx context.Context, p Port) error

	// Stop ends service. With remove, all that Start made is taken off the
	// host; without, the network keeps working for the next Start to adopt.
	Stop(ctx context.Context, remove bool) error
}

// Checker is a Network that can compare the host with what it should be.
type Checker interface {
	// Check returns what is wrong, one line each.
	Check(ctx context.Context) []string
}

// Watcher is a Network whose state changes by itself, for example with its
// parent interface.
type Watcher interface {
	// Watch sends the state and a message whenever they change, until ctx ends.
	Watch(ctx context.Context, report func(resource.NetworkState, string))
}

// Warner is a Network that looks at what is around it and may hinder it, though
// it serves: above all at what of its subnets the host comes to use elsewhere.
type Warner interface {
	// Warn reports all warnings, one line each, now and whenever they change, until
	// ctx ends. None is a report too.
	Warn(ctx context.Context, report func([]string))
}

// Publisher is a Network with a fast path for published ports. The sandbox has
// sockets on all of them, which keep others off the ports and get what the
// network leaves.
type Publisher interface {
	// Publish forwards ports of the host, each with its host port, to p: these
	// and no others. Those that it returns are forwarded; one for all addresses
	// is, if p has an address. errdefs.ErrNotImplemented: this network does not.
	Publish(ctx context.Context, p Port, ports []resource.PublishedPort) ([]resource.PublishedPort, error)
	// Unpublish removes all ports of p; also called before every Expel. By then
	// another network may have the same host ports, and keeps them.
	Unpublish(ctx context.Context, p Port) error
}

// Explainer is a Network that says what becomes of a port's packets.
type Explainer interface {
	// Explain says what becomes of a packet that a port sends to an address.
	Explain(ctx context.Context, p Port, destination netip.Addr) (Verdict, error)
}

// Verdict is what becomes of a packet. Answer begins with one of the words
// below; Why is one line that names the setting behind it.
type Verdict struct{ Answer, Why string }

// How verdicts begin.
const (
	Accepted    = "accepted"
	Dropped     = "dropped"
	NotFiltered = "not filtered"
)

// Updater is a Network that can change while it serves.
type Updater interface {
	// Update applies a configuration that differs from the started one in name,
	// MTU, options or reserved ranges only, and detaches nobody. It is not called
	// for what the SDK does alone: reserved ranges. After an error the former one is in force.
	Update(ctx context.Context, c Configuration) (Realization, error)
}

// Delegate is a Network that makes interfaces itself (strategy "delegated"), because
// Patchbay knows no such kind of link, or because others make them. What Plan returns for
// such a network nobody reads.
type Delegate interface {
	// Attach makes the interface of a port that is held, in p.NetworkNamespace, with this
	// name and the MAC address and MTU of p.Attachment, up or down. The runtime gives it
	// addresses, routes and settings; that of a virtual machine takes its frames by a tap
	// beside it. What an earlier Attach of the port left is replaced. It returns
	// p.Attachment: an interface, or addresses, other than those allocated are refused.
	Attach(ctx context.Context, p Port, interfaceName string) (resource.Attachment, error)
	// Detach removes the interface, all of it or what an Attach that failed has made, and
	// succeeds when there is nothing left. It is not called where the namespace ends with
	// its sandbox: Expel is, in any case, and removes what the host still has.
	Detach(ctx context.Context, p Port, interfaceName string) error
}

// Configuration is what the user asked of the network.
type Configuration struct {
	ID         string
	Name       string
	Variant    string
	IPv4Subnet netip.Prefix // zero: choose one, see ChooseSubnets
	IPv6Subnet netip.Prefix
	MTU        int               // 0: choose
	Options    map[string]string // unknown keys are to be refused, see RefuseUnknown
	// Used is what other networks use, as of this call: there may be thousands, so they
	// are not kept for the next process.
	Used []UsedPrefix `json:"-"`
	// ReservedRanges are given on request only; the SDK sees to it.
	ReservedRanges []resource.AddressRange
	// A family that is turned off has no addresses; see ChooseSubnets.
	IPv4Disabled, IPv6Disabled bool
	// Subnets are chosen from the pools, in order; none: those of ChooseSubnets.
	IPv4Pools, IPv6Pools []resource.SubnetPool `json:"-"`
	// Adopted tells that the network is on the host since an earlier start: what the
	// host has come to use of its subnets is then no reason to refuse them.
	Adopted bool `json:"-"`
	// Ports are those whose sandboxes were on the network when the plugin ended;
	// in Start only. What is left of any other port may be removed.
	Ports []Port `json:"-"`
	// StateDirectory is for files of the network's own that outlive the process
	// but not the host; empty in tests that need none.
	StateDirectory string       `json:"-"`
	Log            *slog.Logger `json:"-"`
}

// UsedPrefix is a prefix that another network uses.
type UsedPrefix struct {
	Network string // name
	Prefix  netip.Prefix
}

// Realization is what Start made of the configuration. Families without a
// subnet get no addresses; networks without a gateway no default route.
type Realization struct {
	IPv4Subnet  netip.Prefix
	IPv4Gateway netip.Addr
	IPv6Subnet  netip.Prefix
	IPv6Gateway netip.Addr
	MTU         int
	Routes      []resource.Route
	DNS         resource.DNSConfiguration
	Reserved    []netip.Addr // beside the gateways, never given out
	MaxPorts    int          // one more is refused before anything is made; 0: as many as there are addresses
}

// Port is one attachment as its network sees it.
type Port struct {
	Key        string
	Owner      string // container name
	Attachment resource.Attachment
	// NetworkNamespace is a path to the sandbox's network namespace, open for as
	// long as the port is held; empty in Plan and where there is none.
	NetworkNamespace string
	// AutomaticMAC tells that nobody asked for Attachment.MACAddress; in Plan only.
	AutomaticMAC bool
	// Familiar tells that the addresses have had no other MAC address on this network, so that no
	// neighbour has to be told of this one; in Plan only.
	Familiar bool
}
