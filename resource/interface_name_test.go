package resource_test

import (
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

func TestInterfaceNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]struct{ named, free string }{
		"":               {"", "eth0"},
		"-":              {"eth0", "eth1"},
		"- - -":          {"eth0 eth1 eth2", "eth3"},
		"lan0 - lan1 -":  {"lan0 eth1 lan1 eth3", "eth0"},
		"eth0 eth2 eth3": {"eth0 eth2 eth3", "eth1"},
	} {
		var wishes []resource.AttachmentConfiguration
		for name := range strings.FieldsSeq(given) {
			wishes = append(wishes, resource.AttachmentConfiguration{InterfaceName: strings.TrimPrefix(name, "-")})
		}
		var names []string
		named := resource.NamedInterfaces(wishes)
		for _, w := range named {
			names = append(names, w.InterfaceName)
		}
		if got := strings.Join(names, " "); got != want.named {
			t.Errorf("%q: named %q, want %q", given, got, want.named)
		}
		if got := resource.FreeInterfaceName(named); got != want.free {
			t.Errorf("%q: free is %q, want %q", given, got, want.free)
		}
	}
}
