// Command patchbay-network-usermode serves one network whose switch and router are
// in its own process. patchbayd starts one such process for each network.
package main

import (
	"patchbay.dev/patchbay/internal/plugins/usermode"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/networkplugin"
)

func main() {
	networkplugin.Main(networkplugin.Plugin{
		Name:       "usermode",
		Version:    version.Version(),
		New:        usermode.New,
		Implements: (*usermode.Network)(nil),
	})
}
