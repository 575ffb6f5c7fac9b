// Command patchbay-network-bridge serves one network made of a Linux bridge.
// patchbayd starts one such process for each network.
package main

import (
	"patchbay.dev/patchbay/internal/plugins/bridge"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/networkplugin"
)

func main() {
	networkplugin.Main(networkplugin.Plugin{
		Name:       "bridge",
		Version:    version.Version(),
		New:        bridge.New,
		Implements: (*bridge.Network)(nil),
	})
}
