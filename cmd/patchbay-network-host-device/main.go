// Command patchbay-network-host-device serves one network that is an interface
// of the host. patchbayd starts one such process for each network.
package main

import (
	"patchbay.dev/patchbay/internal/plugins/hostdevice"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/networkplugin"
)

func main() {
	networkplugin.Main(networkplugin.Plugin{
		Name:       "host-device",
		Version:    version.Version(),
		New:        hostdevice.New,
		Implements: (*hostdevice.Network)(nil),
	})
}
