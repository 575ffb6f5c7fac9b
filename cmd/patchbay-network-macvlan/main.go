// Command patchbay-network-macvlan serves one network of macvlan interfaces.
// patchbayd starts one such process for each network.
package main

import (
	"patchbay.dev/patchbay/internal/plugins/macvlan"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/networkplugin"
)

func main() {
	networkplugin.Main(networkplugin.Plugin{
		Name:       "macvlan",
		Version:    version.Version(),
		New:        macvlan.New,
		Implements: (*macvlan.Network)(nil),
	})
}
