package resource

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
)

// NetworkSchema is the number of the form in which networks are stored:
//
//	0: without plugin information; the one plugin was bridge, variant nat
//	1: StoredNetwork
const NetworkSchema = 1

// StoredNetwork is a network as it is kept over restarts: what the user asked
// for and which subnets the plugin chose then, never what is true now.
type StoredNetwork struct {
	Metadata
	Configuration NetworkConfiguration `json:"configuration"`
	// Pinned are the subnets of the first start. Later starts ask for them, so
	// that addresses stay the same over a reboot.
	Pinned PinnedSubnets `json:"pinned,omitzero"`
	// BuiltIn networks cannot be deleted.
	BuiltIn bool `json:"builtIn,omitempty"`
	// Deleting is set before the deletion touches anything, so that one that a
	// crash interrupted is finished later.
	Deleting bool `json:"deleting,omitempty"`
}

// PinnedSubnets are the subnets that a network has got; zero where it has none
// of the family.
type PinnedSubnets struct {
	IPv4 netip.Prefix `json:"ipv4,omitzero"`
	IPv6 netip.Prefix `json:"ipv6,omitzero"`
}

// MigrateNetwork turns a stored network of an older schema into the next one.
var MigrateNetwork = map[int]func(json.RawMessage) (json.RawMessage, error){
	0: addPluginInformation,
}

// addPluginInformation gives a network that says nothing of its plugin the one
// that there was at the time.
func addPluginInformation(value json.RawMessage) (json.RawMessage, error) {
	var network map[string]json.RawMessage
	configuration := map[string]json.RawMessage{}
	if err := json.Unmarshal(value, &network); err != nil {
		return nil, fmt.Errorf("network: %w: %w", err, errdefs.ErrDataLoss)
	}
	if network == nil { // it reads null
		return nil, fmt.Errorf("network: is empty: %w", errdefs.ErrDataLoss)
	}
	if old, ok := network["configuration"]; ok {
		if err := json.Unmarshal(old, &configuration); err != nil {
			return nil, fmt.Errorf("network configuration: %w: %w", err, errdefs.ErrDataLoss)
		}
	}
	if configuration == nil {
		configuration = map[string]json.RawMessage{}
	}
	var info PluginInfo
	if old, ok := configuration["plugin"]; ok {
		if err := json.Unmarshal(old, &info); err != nil {
			return nil, fmt.Errorf("network plugin: %w: %w", err, errdefs.ErrDataLoss)
		}
	}
	if info.Plugin == "" {
		info = PluginInfo{Plugin: "bridge", Variant: "nat"}
	}
	var err error
	if configuration["plugin"], err = json.Marshal(info); err != nil {
		return nil, err
	}
	if network["configuration"], err = json.Marshal(configuration); err != nil {
		return nil, err
	}
	return json.Marshal(network)
}
