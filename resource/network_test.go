package resource_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// TestStoredNetworksOfOldForms reads files of every form that was ever stored;
// their names begin with the number of their schema.
func TestStoredNetworksOfOldForms(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/network/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			number, _, _ := strings.Cut(filepath.Base(file), "-")
			schema, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			value := json.RawMessage(data)
			for n := schema; n < resource.NetworkSchema; n++ {
				if value, err = resource.MigrateNetwork[n](value); err != nil {
					t.Fatal(err)
				}
			}
			var network resource.StoredNetwork
			if err := json.Unmarshal(value, &network); err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(network, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := network.Configuration.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMigrationOfDamagedNetwork(t *testing.T) {
	t.Parallel()
	for _, value := range []string{``, `[]`, `{"configuration":7}`, `{"configuration":{"plugin":7}}`} {
		if _, err := resource.MigrateNetwork[0](json.RawMessage(value)); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%q: %v, want data loss", value, err)
		}
	}
}

func TestNetworkConfigurationValidate(t *testing.T) {
	t.Parallel()
	good := resource.PluginInfo{Plugin: "bridge", Variant: "nat"}
	p := netip.MustParsePrefix
	routes := func(subnet string, routes ...resource.Route) resource.NetworkConfiguration {
		return resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p(subnet), Routes: routes}
	}
	to := func(destination, gateway string) resource.Route {
		r := resource.Route{Destination: p(destination)}
		if gateway != "" {
			r.Gateway = netip.MustParseAddr(gateway)
		}
		return r
	}
	for name, tt := range map[string]struct {
		c    resource.NetworkConfiguration
		want string // empty: valid
	}{
		"plugin chooses":   {resource.NetworkConfiguration{Plugin: good}, ""},
		"default variant":  {resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: "bridge"}}, ""},
		"both families":    {resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p("10.0.0.0/24"), IPv6Subnet: p("fd00::/64"), MTU: 1500}, ""},
		"small mtu for v4": {resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p("10.0.0.0/31"), MTU: 68}, ""},
		"no plugin":        {resource.NetworkConfiguration{}, "plugin name is empty: want 1 to 63 of a-z, 0-9, '.', '_', '-'"},
		"bad plugin":       {resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: "../x"}}, `plugin name "../x": want 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first`},
		"host bits":        {resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p("10.0.0.1/24")}, "ipv4 subnet 10.0.0.1/24: has host bits set, want 10.0.0.0/24"},
		"v6 as v4":         {resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p("fd00::/64")}, "ipv4 subnet fd00::/64: is ipv6, want ipv4, like 10.0.0.0/24"},
		"v4 as v6":         {resource.NetworkConfiguration{Plugin: good, IPv6Subnet: p("10.0.0.0/24")}, "ipv6 subnet 10.0.0.0/24: is ipv4, want ipv6, like fd00:1::/64"},
		"everything":       {resource.NetworkConfiguration{Plugin: good, IPv4Subnet: p("0.0.0.0/0")}, "ipv4 subnet 0.0.0.0/0: is all addresses, want a part of them"},
		"mtu out of range": {resource.NetworkConfiguration{Plugin: good, MTU: 65536}, "mtu 65536: want 68 to 65535"},
		"mtu small for v6": {resource.NetworkConfiguration{Plugin: good, IPv6Subnet: p("fd00::/64"), MTU: 1279}, "mtu 1279: want at least 1280 for ipv6"},
		"empty option":     {resource.NetworkConfiguration{Plugin: good, Options: map[string]string{"": "x"}}, `option "": want a key of 1 to 128 printable bytes`},
		"routes":           {routes("10.0.0.0/24", to("10.9.0.0/16", ""), to("10.8.0.0/16", "10.0.0.9"), to("fd09::/48", "fd00::9"), to("10.0.0.0/16", "")), ""},
		"faults of routes": {
			routes("10.0.0.0/24", to("0.0.0.0/0", ""), to("10.9.0.1/16", ""), to("10.9.0.0/16", "fd00::1"), to("224.0.0.0/8", ""),
				to("10.8.0.0/16", "10.1.0.9"), to("10.0.0.0/25", ""), to("10.7.0.0/16", ""), to("10.7.0.0/16", ""), to("fd09::/48", "fe80::1%eth0"), resource.Route{}),
			"route 0.0.0.0/0: is the default route; it goes by the network's gateway, of several networks by that of the highest gateway-priority\n" +
				"route 10.9.0.1/16: has host bits set, want 10.9.0.0/16\n" +
				"route 10.9.0.0/16: gateway fd00::1 is of another address family\n" +
				"route 224.0.0.0/8: want a destination of unicast addresses that are valid beyond one link\n" +
				"route 10.8.0.0/16: gateway 10.1.0.9: want an address of the network's subnet 10.0.0.0/24\n" +
				"route 10.0.0.0/25: is in the network's subnet 10.0.0.0/24, which needs no route\n" +
				"route 10.7.0.0/16: is given twice, want each destination once\n" +
				"route fd09::/48: gateway fe80::1%eth0: want an address without a zone\n" +
				"route invalid Prefix: want a destination like 10.9.0.0/16 or fd09::/48",
		},
		"all faults at once": {
			resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: "B", Variant: "-"}, MTU: -1},
			"plugin name \"B\": want 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first\n" +
				"plugin variant name \"-\": want 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first\n" +
				"mtu -1: want 68 to 65535",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.c.Validate()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != tt.want || !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestValidateName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "0", "web-1", "a.b_c", strings.Repeat("x", 63)} {
		if err := resource.ValidateName("network", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", ".a", "A", "a b", "a/b", "ä", "a\n", "none", strings.Repeat("x", 64)} {
		if err := resource.ValidateName("network", name); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), "network name") {
			t.Errorf("%q: %v, want it refused", name, err)
		}
	}
}

func TestValidateLabels(t *testing.T) {
	t.Parallel()
	if err := resource.ValidateLabels(map[string]string{"a.b/c": "any = thing", "empty": ""}); err != nil {
		t.Error(err)
	}
	many := map[string]string{}
	for i := range resource.MaxLabels + 1 {
		many[strconv.Itoa(i)] = ""
	}
	for name, labels := range map[string]map[string]string{
		"empty key": {"": "x"}, "space": {"a b": ""}, "equals sign": {"a=b": ""}, "control": {"a\x01": ""},
		"long key": {strings.Repeat("k", 129): ""}, "long value": {"k": strings.Repeat("v", 4097)}, "no text": {"k": "\xff"}, "too many": many,
	} {
		if err := resource.ValidateLabels(labels); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}
