//go:build integration

package hostdevice

import (
	"testing"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// The contract of every plugin, over the wire and with the real program.
func TestContract(t *testing.T) {
	binary := netnstest.Build(t, "patchbay-network-host-device")
	host, _ := newHost(t)
	before, _, err := look(netnstest.Link(t, host), "dev0")
	if err != nil {
		t.Fatal(err)
	}
	plugintest.Run(t, plugintest.Config{
		Binary:           binary,
		Variant:          VariantExclusive,
		Options:          map[string]string{optionDevice: "dev0"},
		Start:            netnstest.Starter(host),
		NetworkNamespace: func(t *testing.T) string { return netnstest.Path(netnstest.New(t)) },
		Layer2:           true,
		Exclusive:        true,
	})
	same(t, host, before)
}
