package macvlan

import (
	"net/netip"
	"strings"
	"testing"

	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	port := networkplugin.Port{Attachment: resource.Attachment{IPv4Address: netip.MustParsePrefix("10.9.0.2/24")}}
	near, far := netip.MustParseAddr("10.9.0.7"), netip.MustParseAddr("198.41.0.4")
	for name, tt := range map[string]struct {
		mode         resource.MacvlanMode
		to           netip.Addr
		host         bool
		answer, word string
	}{
		"far":           {resource.MacvlanBridge, far, false, networkplugin.NotFiltered, "without passing the host's packet filter"},
		"near":          {resource.MacvlanBridge, near, false, networkplugin.NotFiltered, "without passing the host's packet filter"},
		"near, private": {resource.MacvlanPrivate, near, false, networkplugin.NotFiltered, "are not reached"},
		"host":          {resource.MacvlanBridge, near, true, networkplugin.Dropped, "an address of the host on parent up0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &Network{mode: tt.mode, parent: "up0"}
			if got := n.verdict(port, tt.to, tt.host); got.Answer != tt.answer || !strings.Contains(got.Why, tt.word) {
				t.Errorf("got %+v, want %s because %q", got, tt.answer, tt.word)
			}
		})
	}
}
