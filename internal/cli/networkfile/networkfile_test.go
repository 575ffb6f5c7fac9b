package networkfile

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

var equal = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}

const asTOML = `
[[network]]
name = "web"

[[network]]
name = "lab"
plugin = "macvlan"
plugin-variant = "private"
subnet = "10.7.0.0/24"
ipv6 = false
mtu = 1400
reserve = ["10.7.0.0/28", "10.7.0.200-10.7.0.250"]
route = ["192.168.0.0/16", "10.9.0.0/16=10.7.0.9"]
dns = ["192.0.2.53"]
dns-search = ["example.net"]
dns-option = ["ndots:2"]
option = {parent = "eth0"}
label = {tier = "back", draft = ""}
`

const asJSON = `{"network": [{"name": "web"}, {
  "name": "lab", "plugin": "macvlan", "plugin-variant": "private", "subnet": "10.7.0.0/24", "ipv6": false, "mtu": 1400,
  "reserve": ["10.7.0.0/28", "10.7.0.200-10.7.0.250"], "route": ["192.168.0.0/16", "10.9.0.0/16=10.7.0.9"],
  "dns": ["192.0.2.53"], "dns-search": ["example.net"], "dns-option": ["ndots:2"],
  "option": {"parent": "eth0"}, "label": {"tier": "back", "draft": ""}
}]}`

var both = []Network{{Name: "web"}, {
	Name:   "lab",
	Labels: map[string]string{"tier": "back", "draft": ""},
	Configuration: resource.NetworkConfiguration{
		Plugin:     resource.PluginInfo{Plugin: "macvlan", Variant: "private"},
		IPv4Subnet: netip.MustParsePrefix("10.7.0.0/24"), IPv6Disabled: true, MTU: 1400,
		Options: map[string]string{"parent": "eth0"},
		Routes: []resource.Route{
			{Destination: netip.MustParsePrefix("192.168.0.0/16")},
			{Destination: netip.MustParsePrefix("10.9.0.0/16"), Gateway: netip.MustParseAddr("10.7.0.9")},
		},
		ReservedRanges: []resource.AddressRange{
			{First: netip.MustParseAddr("10.7.0.0"), Last: netip.MustParseAddr("10.7.0.15")},
			{First: netip.MustParseAddr("10.7.0.200"), Last: netip.MustParseAddr("10.7.0.250")},
		},
		DNS: resource.DNSConfiguration{Servers: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, Search: []string{"example.net"}, Options: []string{"ndots:2"}},
	},
}}

func TestRead(t *testing.T) {
	t.Parallel()
	for path, text := range map[string]string{"a.toml": asTOML, "a.JSON": asJSON, "-": asTOML, "networks": asJSON} {
		got, err := Read(path, []byte(text))
		if diff := cmp.Diff(both, got, equal); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ path, text, want string }{ // want: lines, separated by |
		"empty":       {"f.toml", "", "f.toml: has no network, want at least one"},
		"no list":     {"f.json", `{"network": 1}`, `f.json: want an object with a list "network" of objects`},
		"cut":         {"f.json", `{"network": `, "f.json: unexpected end of JSON input"},
		"syntax":      {"f.toml", "network = oci", "f.toml: line 1: "},
		"toml keys":   {"f.toml", "colour = 1\n[[network]]\nnam = \"x\"", `f.toml: line 1: unknown key "colour", line 3: unknown key "network.nam"`},
		"json keys":   {"f.json", `{"colour": 1, "network": [{"nam": "x", "mtu": "y"}]}`, `f.json: unknown key "colour"|f.json: network number 1: mtu: want a number|unknown key "nam", want one of dns, `},
		"json types":  {"f.json", `{"network": [{"name": "a", "ipv4": 1, "dns": "x", "label": []}]}`, "network a: dns: want a list of strings|ipv4: want true or false|label: want an object of strings"},
		"values":      {"f.toml", "[[network]]\nname = \"a\"\nsubnet = \"x\"\nreserve = [\"y\"]\nmtu = 3\n[[network]]\nname = \"B\"", `f.toml: network a: subnet "x": want|f.toml: network a: reserved range "y"|f.toml: network a: mtu 3|f.toml: network B: network name "B"`},
		"twice":       {"f.toml", "[[network]]\nname = \"a\"\n[[network]]\nname = \"a\"", "network a: is there twice"},
		"without":     {"f.toml", "[[network]]\nmtu = 1400", "network number 1: network name is empty"},
		"two forms":   {"-", `[{"name": "a"}]`, "-: line 1: "},
		"no families": {"f.json", `{"network": [{"name": "a", "ipv4": false, "ipv6": false}]}`, "both are off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(tt.path, []byte(tt.text))
			for want := range strings.SplitSeq(tt.want, "|") {
				if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

// FuzzRead checks that whatever is read is written such that it is read again.
func FuzzRead(f *testing.F) {
	f.Add("a.toml", asTOML)
	f.Add("a.json", asJSON)
	f.Add("-", "[[network]]\nname = 'a'\nlabel = {'x y' = '\"'}")
	f.Fuzz(func(t *testing.T, path, text string) {
		networks, err := Read(path, []byte(text))
		if err != nil {
			return
		}
		for name, form := range map[string]bool{"f.toml": false, "f.json": true} {
			var out bytes.Buffer
			if err := Write(&out, form, networks); err != nil {
				t.Fatal(err)
			}
			again, err := Read(name, out.Bytes())
			if diff := cmp.Diff(networks, again, equal); err != nil || diff != "" {
				t.Errorf("%s: %v (-read +read again):\n%s\n%s", name, err, diff, out.String())
			}
		}
	})
}
