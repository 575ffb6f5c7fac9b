package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

var defaults = Config{
	DefaultRuntime: "oci", DefaultNetwork: resource.PluginInfo{Plugin: "bridge"}, ReadyTimeout: 10 * time.Second, StandbyHelpers: 1,
	VirtualMachines: resource.DefaultVirtualMachines(), Log: resource.DefaultLogLimits(),
}

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, true)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want Config
	}{
		"empty": {"", defaults},
		"all": {`
default-runtime = "vm"
standby-helpers = 3
[network]
default-plugin = "macvlan"
default-variant = "private"
[pools]
ipv4 = [{base = "10.0.0.0/8"}, {base = "172.20.0.0/14", size = 30}]
ipv6 = [{base = "fd12:3456:789a::/48"}]
[registries]
insecure = ["box:5000"]
[api]
allowed-users = [1000, "1001", "root"]
[plugins]
directories = ["/opt/plugins"]
[timeouts]
plugin-ready = "1500ms"
[metrics]
listen = "127.0.0.1:9100"
[log]
max-size = "1m"
max-file = 5
[vm]
accelerator = "tcg"
machine = "microvm"
channel = "serial"
user-ids = "200000-200099"
boot-timeout = "2m"
templates = false
`, Config{
			DefaultRuntime: "vm", DefaultNetwork: resource.PluginInfo{Plugin: "macvlan", Variant: "private"},
			InsecureRegistries: []string{"box:5000"}, AllowedUIDs: []int{1000, 1001, 0},
			PluginDirectories: []string{"/opt/plugins"}, ReadyTimeout: 1500 * time.Millisecond, StandbyHelpers: 3,
			Log:       resource.LogLimits{MaxBytes: 1 << 20, MaxFiles: 5},
			Metrics:   &Endpoint{Network: "tcp", Address: "127.0.0.1:9100"},
			IPv4Pools: []resource.SubnetPool{{Base: netip.MustParsePrefix("10.0.0.0/8"), Size: 24}, {Base: netip.MustParsePrefix("172.20.0.0/14"), Size: 30}},
			IPv6Pools: []resource.SubnetPool{{Base: netip.MustParsePrefix("fd12:3456:789a::/48"), Size: 64}},
			VirtualMachines: resource.VirtualMachines{
				Accelerator: resource.AcceleratorTCG, Type: resource.MachineMicroVM, Channel: resource.ChannelSerial, UserIDs: resource.UserRange{First: 200000, Last: 200099},
				BootTimeout: 2 * time.Minute, Templates: false,
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, tt.text)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreFields(Endpoint{}, "Setting")); diff != "" || err != nil {
				t.Errorf("(-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	if got, err := Load(path, false); err != nil || !cmp.Equal(got, defaults) {
		t.Errorf("got %+v, %v, want the defaults", got, err)
	}
	if _, err := Load(path, true); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), path) {
		t.Errorf("required: %v, want the file named", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"syntax":      {"default-runtime = oci", "config.toml: line 1: "},
		"unknown key": {"[network]\ndefault-plugn = \"x\"", `config.toml: line 2: unknown key "network.default-plugn"`},
		"wrong type":  {"[registries]\ninsecure = \"x\"", "config.toml: line 2: "},
		"runtime":     {"default-runtime = \"O\"", `default-runtime name "O"`},
		"directory":   {"[plugins]\ndirectories = [\"x\"]", `plugins.directories: "x": want an absolute path`},
		"user":        {"[api]\nallowed-users = [\"no such user\"]", `api.allowed-users: "no such user": there is no such user`},
		"uid":         {"[api]\nallowed-users = [-1]", "api.allowed-users: -1: want a name or a uid"},
		"log size":    {"[log]\nmax-size = \"1\"", "[log]: log max-size 1: want at least 65536 bytes"},
		"log files":   {"[log]\nmax-file = 0", `[log]: log max-file "0": want 1 to 100`},
		"timeout":     {"[timeouts]\nplugin-ready = \"10\"", `timeouts.plugin-ready: "10": want a duration like "10s"`},
		"pool":        {"[pools]\nipv4 = [{base = \"10.0.0.0\"}]", `pools.ipv4: base "10.0.0.0": want a prefix`},
		"pool family": {"[pools]\nipv4 = [{base = \"fd00::/8\"}]", `pools.ipv4: base fd00::/8: is of the other address family`},
		"pool size":   {"[pools]\nipv6 = [{base = \"fd00::/48\", size = 24}]", `pools.ipv6: pool fd00::/48: has subnets of size 24, want 48 to 127`},
		"pools":       {"[pools]\nipv4 = [{base = \"10.0.0.0/8\"}, {base = \"10.1.0.0/16\"}]", `pools.ipv4: base 10.1.0.0/16: overlaps 10.0.0.0/8`},
		"metrics":     {"[metrics]\nlisten = \"localhost\"", `metrics.listen: "localhost": want`},
		"metrics off": {"[metrics]\nlisten = \"\"", `metrics.listen: "": want`},
		"accelerator": {"[vm]\naccelerator = \"xen\"", `vm.accelerator: "xen": want "auto", "kvm" or "tcg"`},
		"machine":     {"[vm]\nmachine = \"pc\"", `vm.machine: "pc": want "auto", "q35" or "microvm"`},
		"channel":     {"[vm]\nchannel = \"pigeon\"", `vm.channel: "pigeon": want "auto", "vsock" or "serial"`},
		"user ids":    {"[vm]\nuser-ids = \"0-10\"", `vm.user-ids: "0-10": want FIRST-LAST`},
		"boot":        {"[vm]\nboot-timeout = \"0\"", `vm.boot-timeout: "0": want a duration like "90s"`},
		"standby":     {"standby-helpers = 17", `standby-helpers: 17: want 0 to 16`},
		"both":        {"default-runtime = \"O\"\n[timeouts]\nplugin-ready = \"-1s\"", `timeouts.plugin-ready: "-1s"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := load(t, tt.text); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPath(t *testing.T) {
	t.Setenv("PATCHBAY_CONFIG", "")
	if path, required := Path(""); path != "/etc/patchbay/config.toml" || required {
		t.Errorf("default: %s, %v", path, required)
	}
	t.Setenv("PATCHBAY_CONFIG", "/e")
	if path, required := Path(""); path != "/e" || !required {
		t.Errorf("environment: %s, %v", path, required)
	}
	if path, required := Path("/f"); path != "/f" || !required {
		t.Errorf("flag: %s, %v", path, required)
	}
}
