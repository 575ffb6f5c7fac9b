//go:build integration

package usermode

import (
	"testing"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// The contract of every plugin, over the wire and with the real program.
func TestContract(t *testing.T) {
	binary := netnstest.Build(t, "patchbay-network-usermode")
	host := netnstest.New(t)
	plugintest.Run(t, plugintest.Config{
		Binary:           binary,
		Variant:          VariantNAT,
		Start:            netnstest.Starter(host),
		NetworkNamespace: func(t *testing.T) string { return netnstest.Path(netnstest.New(t)) },
		// No Residue: the network has nothing on the host that it could leave.
	})
	all, err := netnstest.Link(t, host).Interfaces()
	if err != nil || len(all) != 1 {
		t.Errorf("the host has %+v, %v; want loopback", all, err)
	}
}
