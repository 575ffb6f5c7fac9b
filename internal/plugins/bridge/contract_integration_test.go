//go:build integration

package bridge

import (
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// The contract of every plugin, over the wire and with the real program.
func TestContract(t *testing.T) {
	binary := netnstest.Build(t, "patchbay-network-bridge")
	for _, variant := range []string{VariantNAT, VariantInternal} {
		t.Run(variant, func(t *testing.T) {
			w := newWorld(t)
			plugintest.Run(t, plugintest.Config{
				Binary:           binary,
				Variant:          variant,
				Start:            netnstest.Starter(w.host),
				NetworkNamespace: func(t *testing.T) string { return netnstest.Path(netnstest.New(t)) },
				Residue: func(t *testing.T, networkID string) (left []string) {
					all, err := netnstest.Link(t, w.host).Interfaces()
					if err != nil {
						t.Fatal(err)
					}
					for _, i := range all {
						if strings.Contains(i.Alias, networkID) {
							left = append(left, "interface "+i.Name)
						}
					}
					for line := range strings.Lines(ruleset(t, w.host)) {
						if strings.Contains(line, networkID) {
							left = append(left, "nftables: "+line)
						}
					}
					return left
				},
			})
			assertClean(t, w.host)
		})
	}
}
