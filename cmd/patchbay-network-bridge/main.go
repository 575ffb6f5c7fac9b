// Command patchbay-network-bridge serves one network made of a Linux bridge.
// patchbayd starts one such process for each network.
package main

import (
	"patchbay.dev/patchbay/internal/hostnews/listener"
	"patchbay.dev/patchbay/internal/plugins/bridge"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/networkplugin"
)

func main() {
	listener.Main() // if that is what the process is for
	networkplugin.Main(networkplugin.Plugin{
		Name:       "bridge",
		Version:    version.Version(),
		New:        bridge.New,
		Implements: (*bridge.Network)(nil),
	})
}
