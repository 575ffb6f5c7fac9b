package fit

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

func TestRates(t *testing.T) {
	t.Parallel()
	n := resource.Network{Metadata: resource.Metadata{Name: "lan"}}
	n.Configuration.Plugin = resource.PluginInfo{Plugin: "macvlan", Variant: "bridge"}
	runtime := manifest.Plugin{Plugin: resource.Plugin{Name: "oci"}, Rates: []string{"bridge-port"}}
	both := resource.AttachmentConfiguration{RateIn: 1e6, RateOut: 1e6}
	for _, tt := range []struct {
		strategy string
		wish     resource.AttachmentConfiguration
		rates    []string
		want     string // empty: no error
	}{
		{"bridge-port", both, runtime.Rates, ""},
		{"macvlan", resource.AttachmentConfiguration{}, runtime.Rates, ""},
		{"macvlan", both, runtime.Rates, "network lan: rate-in, rate-out: plugin macvlan/bridge makes interfaces by strategy macvlan, on which runtime oci cannot hold a rate; it can by: bridge-port"},
		{"macvlan", resource.AttachmentConfiguration{RateOut: 1e6}, nil, "network lan: rate-out: plugin macvlan/bridge makes interfaces by strategy macvlan, on which runtime oci cannot hold a rate; it can by: none"},
	} {
		runtime.Rates = tt.rates
		err := Rates(n, tt.strategy, tt.wish, runtime)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.strategy, err)
		case tt.want != "" && (!errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.strategy, err, tt.want)
		}
	}
}
