package resource

import (
	"encoding/json"
	"net/netip"
)

// AttachmentConfiguration is one container's wish for one network.
type AttachmentConfiguration struct {
	Network         string            `json:"network"` // id once stored; a name or id in a request
	Hostname        string            `json:"hostname,omitempty"`
	Aliases         []string          `json:"aliases,omitempty"`
	IPv4Address     netip.Addr        `json:"ipv4Address,omitzero"` // zero: the network chooses
	IPv6Address     netip.Addr        `json:"ipv6Address,omitzero"`
	MACAddress      MACAddress        `json:"macAddress,omitempty"`
	MTU             int               `json:"mtu,omitempty"`           // 0: the network's
	InterfaceName   string            `json:"interfaceName,omitempty"` // empty in a request: see NamedInterfaces
	GatewayPriority int               `json:"gatewayPriority,omitempty"`
	Options         map[string]string `json:"options,omitempty"` // for the plugin alone
	// Sysctls are settings of the interface, by their full names with IFNAME in
	// place of its name: net.ipv4.conf.IFNAME.rp_filter.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	RateIn  BitRate           `json:"rateIn,omitempty"`  // to the container
	RateOut BitRate           `json:"rateOut,omitempty"` // from the container
}

// Static reports whether the wish names addresses that have to be kept for
// its container while that is stopped.
func (c AttachmentConfiguration) Static() bool {
	return c.IPv4Address.IsValid() || c.IPv6Address.IsValid() || c.MACAddress != ""
}

// Attachment is the network's answer: a snapshot, safe to show. Every address
// and gateway is optional; a layer-2 network has none.
type Attachment struct {
	NetworkID       string           `json:"networkId"`
	Network         string           `json:"network"` // name
	Hostname        string           `json:"hostname,omitempty"`
	Aliases         []string         `json:"aliases,omitempty"`
	IPv4Address     netip.Prefix     `json:"ipv4Address,omitzero"` // the address with the subnet's length
	IPv4Gateway     netip.Addr       `json:"ipv4Gateway,omitzero"`
	IPv6Address     netip.Prefix     `json:"ipv6Address,omitzero"`
	IPv6Gateway     netip.Addr       `json:"ipv6Gateway,omitzero"`
	MACAddress      MACAddress       `json:"macAddress,omitempty"`
	MTU             int              `json:"mtu,omitempty"`
	InterfaceName   string           `json:"interfaceName,omitempty"`
	GatewayPriority int              `json:"gatewayPriority,omitempty"`
	Routes          []Route          `json:"routes,omitempty"`
	DNS             DNSConfiguration `json:"dns,omitzero"`
	// Sysctls and rates are those of the configuration.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	RateIn  BitRate           `json:"rateIn,omitempty"`
	RateOut BitRate           `json:"rateOut,omitempty"`
}

// Route is one route beside the subnet's own and the default.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"` // zero: on link
}

// DNSConfiguration is what a network or a container says about name servers.
type DNSConfiguration struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Options []string     `json:"options,omitempty"`
}

// LeaseReference tells a sandbox where to hold an allocation.
type LeaseReference struct {
	Key    string `json:"key"`
	Socket string `json:"socket"` // unix socket of the plugin that gave it
	Codec  Codec  `json:"codec,omitempty"`
}

// AllocatedAttachment is all that a sandbox needs to make the interface; with
// it a sandbox never has to ask the API server for anything.
type AllocatedAttachment struct {
	Attachment     Attachment      `json:"attachment"`
	Plugin         PluginInfo      `json:"plugin"`
	Strategy       string          `json:"strategy"`       // from the plugin's manifest
	AdditionalData json.RawMessage `json:"additionalData"` // from plugin to strategy; nobody between reads it
	Lease          LeaseReference  `json:"lease"`
}
