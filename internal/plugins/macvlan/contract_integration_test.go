//go:build integration

package macvlan

import (
	"testing"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// The contract of every plugin, over the wire and with the real program.
func TestContract(t *testing.T) {
	binary := netnstest.Build(t, "patchbay-network-macvlan")
	host, _ := newLAN(t)
	plugintest.Run(t, plugintest.Config{
		Binary:           binary,
		Variant:          VariantBridge,
		Options:          map[string]string{optionParent: "up0"},
		Start:            netnstest.Starter(host),
		NetworkNamespace: func(t *testing.T) string { return netnstest.Path(netnstest.New(t)) },
		// No Residue: the network has nothing on the host that it could leave.
	})
	all, err := netnstest.Link(t, host).Interfaces()
	if err != nil || len(all) != 2 {
		t.Errorf("the host has %+v, %v; want loopback and up0", all, err)
	}
}
