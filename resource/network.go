package resource

import "net/netip"

// DefaultNetworkName is the name of the built-in network: containers that name
// no network are plugged into it, and it cannot be deleted.
const DefaultNetworkName = "default"

// Bounds of an interface's MTU: IPv4 needs 68 (RFC 791), IPv6 1280 (RFC 8200
// section 5).
const (
	MinMTU     = 68
	MinMTUIPv6 = 1280
	MaxMTU     = 65535
)

// PluginInfo says which plugin serves a network and in which way. An empty
// Variant in a request means the plugin's default; a stored one is never empty.
type PluginInfo struct {
	Plugin  string `json:"plugin"`
	Variant string `json:"variant"`
}

// String returns "plugin/variant".
func (p PluginInfo) String() string {
	if p.Variant == "" {
		return p.Plugin
	}
	return p.Plugin + "/" + p.Variant
}

// NetworkConfiguration is what the user asked for.
type NetworkConfiguration struct {
	Plugin     PluginInfo        `json:"plugin"`
	IPv4Subnet netip.Prefix      `json:"ipv4Subnet,omitzero"` // zero: the plugin chooses
	IPv6Subnet netip.Prefix      `json:"ipv6Subnet,omitzero"` // zero: the plugin chooses
	MTU        int               `json:"mtu,omitempty"`       // 0: the plugin chooses
	Options    map[string]string `json:"options,omitempty"`   // for the plugin alone
	Routes     []Route           `json:"routes,omitempty"`    // for each attachment; without gateway: by the network's
	// ReservedRanges are given on request only.
	ReservedRanges []AddressRange `json:"reservedRanges,omitempty"`
	// A disabled family has no addresses; at most one of them is.
	IPv4Disabled bool             `json:"ipv4Disabled,omitempty"`
	IPv6Disabled bool             `json:"ipv6Disabled,omitempty"`
	DNS          DNSConfiguration `json:"dns,omitzero"` // for each attachment
}

// NetworkChange is what an update changes of a network; what is nil stays.
type NetworkChange struct {
	Labels         map[string]string // to set
	RemoveLabels   []string
	MTU            *int // 0: the plugin chooses
	ReservedRanges *[]AddressRange
	DNS            *DNSConfiguration
}

// NetworkCheck is what a plugin finds when it compares what its network should have on the
// host with what there is; one line for each fault.
type NetworkCheck struct {
	Faults   []string `json:"faults,omitempty"`   // that are there now
	Repaired []string `json:"repaired,omitempty"` // that were there before a repair
}

// NetworkState is the state of a network as a user sees it.
type NetworkState string

// The states of a network.
const (
	NetworkStarting NetworkState = "starting"
	NetworkReady    NetworkState = "ready"
	NetworkDegraded NetworkState = "degraded" // serves, but Message says what is wrong
	NetworkFailed   NetworkState = "failed"   // its plugin does not serve
)

// NetworkStatus is what the plugin made of the configuration.
type NetworkStatus struct {
	State          NetworkState `json:"state"`
	Message        string       `json:"message,omitempty"`
	IPv4Subnet     netip.Prefix `json:"ipv4Subnet,omitzero"`
	IPv4Gateway    netip.Addr   `json:"ipv4Gateway,omitzero"`
	IPv6Subnet     netip.Prefix `json:"ipv6Subnet,omitzero"`
	IPv6Gateway    netip.Addr   `json:"ipv6Gateway,omitzero"`
	MTU            int          `json:"mtu,omitempty"`
	AddressesInUse uint64       `json:"addressesInUse"`
	AddressesTotal uint64       `json:"addressesTotal"`
	// AddressesReserved are those of the total that are given on request only.
	AddressesReserved uint64 `json:"addressesReserved,omitempty"`
	// The same by family; zero where there are none.
	IPv4Addresses AddressUsage        `json:"ipv4Addresses,omitzero"`
	IPv6Addresses AddressUsage        `json:"ipv6Addresses,omitzero"`
	Warnings      []string            `json:"warnings,omitempty"` // what is wrong around a network that serves
	PluginPID     int                 `json:"pluginPid,omitempty"`
	BuiltIn       bool                `json:"builtIn,omitempty"`
	Attachments   []NetworkAttachment `json:"attachments,omitempty"`
}

// AddressUsage is how many addresses of one family are in use. Numbers saturate.
type AddressUsage struct {
	InUse    uint64 `json:"inUse"`
	Total    uint64 `json:"total"`              // that attachments can have
	Reserved uint64 `json:"reserved,omitempty"` // of the total, given on request only
}

// Serves says that the network can be used: its plugin answers.
func (s NetworkStatus) Serves() bool {
	return s.State == NetworkReady || s.State == NetworkDegraded
}

// NetworkAttachment is one container's live attachment, seen from the network.
type NetworkAttachment struct {
	Container   string     `json:"container"`
	ContainerID string     `json:"containerId"`
	LeaseState  LeaseState `json:"leaseState"`
	Attachment  Attachment `json:"attachment"`
}

// LeaseState is a step in the life of an allocation: pending, then held, then
// orphaned, then gone.
type LeaseState string

// The states of a lease.
const (
	LeasePending  LeaseState = "pending"  // allocated, a deadline runs
	LeaseHeld     LeaseState = "held"     // its sandbox holds a stream open to the plugin
	LeaseOrphaned LeaseState = "orphaned" // the stream was lost, a short grace runs
)
