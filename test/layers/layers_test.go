package layers

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer is a group of packages and the packages of this module that they may
// import beside those of the same group.
type layer struct {
	packages []string // patterns
	imports  []string // patterns
	// thirdParty limits the modules from outside; nil: any that the linter
	// allows.
	thirdParty []string
	// tests may import these as well, beside testImports.
	tests []string
	// apart: packages of the group may not import one another.
	apart bool
}

// Small packages without knowledge of Patchbay, and the nouns: everybody above
// them may use them.
var (
	basics   = []string{"resource", "resource/event", "internal/version", "internal/backoff", "internal/keyed", "internal/revert", "internal/atomicfile", "internal/layout", "internal/tomlfile", "internal/footprint", "internal/timerslack", "internal/stack", "internal/processors", "internal/trace", "internal/random", "internal/macaddress"}
	contract = []string{"api/...", "internal/wire/...", "internal/rpc/...", "internal/client/..."}
)

func with(groups ...[]string) []string { return slices.Concat(groups...) }

// layers is the architecture, from the bottom up. Every package of the module
// is in exactly one.
var layers = []layer{
	{packages: []string{"tools/protoc-gen-plain"}, thirdParty: []string{"google.golang.org/protobuf/compiler/protogen", "google.golang.org/protobuf/reflect/protoreflect", "google.golang.org/protobuf/types/pluginpb"}, tests: []string{"api"}},
	{packages: []string{"api/..."}},
	{packages: []string{"internal/random"}, apart: true},
	{packages: []string{"resource"}, imports: []string{"internal/random"}, thirdParty: []string{"github.com/containerd/errdefs"}},
	{packages: []string{"internal/macaddress"}, imports: []string{"resource"}, apart: true},
	{packages: []string{"resource/event"}, imports: []string{"resource"}, thirdParty: []string{"github.com/containerd/errdefs"}},
	{packages: []string{"internal/version", "internal/backoff", "internal/keyed", "internal/revert", "internal/atomicfile", "internal/layout", "internal/tomlfile", "internal/footprint", "internal/timerslack", "internal/stack", "internal/stack/first", "internal/processors"}, apart: true},
	{packages: []string{"internal/trace"}, imports: []string{"internal/random"}, apart: true},

	{packages: []string{"internal/trace/collect"}, imports: []string{"internal/trace"}},

	// The contracts as Go sees them.
	{packages: []string{"internal/wire/field"}, imports: []string{"api/message", "resource"}},
	{packages: []string{"internal/wire"}, imports: []string{"api/patchbay/types/v1", "resource", "internal/wire/field"}},
	{packages: []string{"internal/wire/pluginwire"}, imports: []string{"api/message", "api/patchbay/types/v1", "api/patchbay/plugin/v1", "resource", "internal/wire", "internal/wire/field"}, tests: []string{"internal/rpc/jsonform"}},
	{packages: []string{"internal/wire/apiwire"}, imports: []string{"api/message", "api/patchbay/types/v1", "api/patchbay/apiserver/v1", "resource", "resource/event", "internal/wire", "internal/wire/field"}},
	{packages: []string{"internal/wire/span"}, imports: []string{"api/message", "api/patchbay/apiserver/v1", "internal/trace"}},
	{packages: []string{"internal/rpc/edge"}, imports: []string{"internal/wire", "internal/trace"}},
	{packages: []string{"internal/rpc/peer"}},
	{packages: []string{"internal/rpc/hangup"}},
	{packages: []string{"internal/rpc/jsonform"}, imports: []string{"api", "api/message"}, tests: []string{"api/..."}},
	{packages: []string{"internal/rpc/plain"}, imports: []string{"api/message", "internal/trace", "internal/stack", "internal/rpc/hangup"}},
	{packages: []string{"internal/rpc/direct"}, imports: []string{"api/message", "internal/rpc/edge"}, tests: []string{"api/...", "internal/rpc"}},
	{packages: []string{"internal/rpc"}, imports: []string{"api/message", "internal/wire", "internal/trace", "internal/rpc/direct", "internal/rpc/edge", "internal/rpc/jsonform", "internal/rpc/peer", "internal/rpc/hangup", "internal/rpc/plain"}, tests: []string{"api/..."}},
	{packages: []string{"internal/client/..."}, imports: []string{"api/...", "internal/rpc/...", "resource"}, apart: true},

	// Linux mechanics.
	{packages: []string{"internal/netns"}, imports: []string{"resource"}},
	{packages: []string{"internal/link/sysctl", "internal/link/tuntap"}, apart: true},
	{packages: []string{"internal/sockfilter"}, apart: true},
	{packages: []string{"internal/subscription"}, imports: []string{"internal/netns", "internal/sockfilter"}},
	{packages: []string{"internal/hostnews"}, imports: []string{"internal/subscription"}},
	{packages: []string{"internal/hostnews/used"}, imports: []string{"internal/link/rtnl"}},
	{packages: []string{"internal/hostnews/listener"}, imports: []string{"internal/footprint", "internal/subscription", "internal/firewall/interest", "internal/hostnews", "internal/hostnews/used", "internal/link/rtnl", "internal/rpc/peer"}, tests: []string{"resource", "internal/firewall/...", "internal/netns", "internal/netnstest/..."}},
	{packages: []string{"internal/link/rtnl"}, imports: []string{"resource", "internal/hostnews", "internal/netns", "internal/processors", "internal/sockfilter", "internal/subscription"}},
	{packages: []string{"internal/link/routing"}, imports: []string{"resource", "internal/link/rtnl"}},
	{packages: []string{"internal/link/inspect"}, imports: []string{"resource", "internal/netns", "internal/subscription", "internal/link/rtnl"}, tests: []string{"internal/link"}},
	{packages: []string{"internal/link"}, imports: []string{"resource", "internal/netns", "internal/link/inspect", "internal/link/routing", "internal/link/rtnl", "internal/link/sysctl", "internal/link/tuntap"}, tests: []string{"internal/subscription", "internal/hostnews", "internal/macaddress"}},
	{packages: []string{"internal/link/overlaps"}, imports: []string{"internal/hostnews", "internal/netns", "internal/link", "internal/link/inspect", "internal/link/rtnl"}, tests: []string{"resource"}},
	{packages: []string{"internal/link/rate"}, imports: []string{"resource", "internal/macaddress", "internal/netns", "internal/revert", "internal/link/rtnl"}, tests: []string{"internal/link"}},
	{packages: []string{"internal/link/ports"}, imports: []string{"internal/netns", "internal/sockfilter", "internal/subscription", "internal/link/rtnl"}, tests: []string{"internal/link"}},
	{packages: []string{"internal/link/addresses"}, imports: []string{"internal/netns", "internal/sockfilter", "internal/subscription", "internal/link/rtnl"}, tests: []string{"internal/link"}},
	{packages: []string{"internal/link/loopback"}, imports: []string{"internal/netns", "internal/link/rtnl", "internal/link/sysctl"}},
	{packages: []string{"internal/firewall/flows"}},
	{packages: []string{"internal/firewall/interest"}, imports: []string{"internal/sockfilter"}},
	{packages: []string{"internal/firewall/ruleset"}},
	{packages: []string{"internal/firewall/connection"}, imports: []string{"internal/netns"}},
	{packages: []string{"internal/firewall"}, imports: []string{"resource", "internal/netns", "internal/keyed", "internal/hostnews", "internal/subscription", "internal/firewall/connection", "internal/firewall/flows", "internal/firewall/interest", "internal/firewall/ruleset"}},
	{packages: []string{"internal/fastpath"}, imports: []string{"resource"}, tests: []string{"internal/link", "internal/macaddress"}},
	{packages: []string{"internal/fastpath/connect"}},
	{packages: []string{"internal/netnstest/..."}, imports: []string{"resource", "internal/netns", "internal/link"}},
	{packages: []string{"internal/ipam"}, imports: []string{"resource"}},
	{packages: []string{"internal/resolver"}, imports: []string{"resource"}},
	// Frames of containers in user space: over sockets, between them, and out.
	{packages: []string{"internal/tapstream"}, tests: []string{"internal/link", "internal/netns"}},
	{packages: []string{"internal/frameswitch"}, imports: []string{"internal/tapstream"}},
	{packages: []string{"internal/userstack"}, imports: []string{"resource", "internal/netns"}},
	{packages: []string{"internal/forward/relay"}},
	{packages: []string{"internal/forward"}, imports: []string{"resource", "internal/forward/relay"}},
	{packages: []string{"internal/lease/keyfiles", "internal/lease/strangers"}, imports: []string{"internal/atomicfile"}},
	{packages: []string{"internal/lease/pool"}, imports: []string{"resource", "internal/ipam", "internal/macaddress"}},
	{packages: []string{"internal/lease"}, imports: with(basics, []string{"internal/lease/keyfiles", "internal/lease/pool", "internal/lease/strangers"})},

	// Files in and out of containers.
	{packages: []string{"internal/treecopy"}, imports: []string{"internal/random"}},
	{packages: []string{"internal/treecopy/parts"}, imports: []string{"api/...", "internal/treecopy"}},

	// Network plugins.
	{packages: []string{"networkplugin"}, imports: with(basics, contract, []string{"internal/ipam", "internal/lease", "internal/lease/pool"})},
	{packages: []string{"networkplugin/plugintest"}, imports: with(basics, contract, []string{"networkplugin"}), tests: []string{"internal/manifest"}},
	{packages: []string{"internal/hostinterface"}, imports: []string{"resource", "networkplugin", "internal/netns", "internal/link", "internal/link/overlaps"}},
	{
		packages: []string{"internal/plugins/..."}, apart: true,
		imports: with(basics, []string{"networkplugin", "internal/hostinterface", "internal/hostnews", "internal/hostnews/listener", "internal/link", "internal/link/addresses", "internal/link/inspect", "internal/link/loopback", "internal/link/overlaps", "internal/link/ports", "internal/link/sysctl", "internal/netns", "internal/firewall", "internal/fastpath", "internal/fastpath/connect", "internal/frameswitch", "internal/userstack"}),
		tests:   []string{"internal/tapstream"},
	},

	// Sandboxes and their runtimes.
	{packages: []string{"internal/stdio"}, imports: basics},
	{packages: []string{"internal/containerlog"}, imports: basics},
	{
		packages: []string{"internal/sandbox/sandboxtest", "internal/sandbox/sandboxtest/world"},
		imports:  with(basics, contract, []string{"internal/sandbox", "internal/stdio", "internal/netns", "internal/netnstest", "internal/link", "internal/tapstream"}),
	},
	{packages: []string{"internal/sandbox/routes"}, imports: []string{"resource"}},
	{packages: []string{"internal/sandbox/wiring"}, imports: []string{"resource", "internal/sandbox/routes"}},
	{packages: []string{"internal/sandbox/strategy"}, imports: []string{"resource", "internal/macaddress", "internal/sandbox/wiring"}},
	{packages: []string{"internal/sandbox/names"}, imports: []string{"resource", "internal/client/pluginclient", "internal/resolver", "internal/sandbox/lookup", "internal/sandbox/routes"}},
	{packages: []string{"internal/sandbox/..."}, imports: with(basics, contract, []string{"internal/stdio", "internal/containerlog", "internal/resolver", "internal/forward", "internal/treecopy/..."})},
	{
		packages: []string{"internal/runtime/..."},
		imports:  with(basics, contract, []string{"internal/sandbox/...", "internal/link/...", "internal/netns", "internal/tapstream", "internal/stdio", "internal/containerlog", "internal/resolver", "internal/treecopy/..."}),
	},

	// The API server: no plugin, no strategy, no Linux mechanics.
	{packages: []string{"internal/config"}, imports: with(basics, []string{"internal/manifest"})},
	{packages: []string{"internal/manifest"}, imports: basics},
	{packages: []string{"internal/store"}, imports: with(basics, []string{"internal/store/journal"})},
	{packages: []string{"internal/store/journal"}},
	{packages: []string{"internal/helper"}, imports: with(basics, contract, []string{"internal/manifest"})},
	{packages: []string{"internal/imagestore"}, imports: basics},
	{packages: []string{"internal/imagearchive"}, imports: with(basics, []string{"internal/imagestore"})},
	{packages: []string{"internal/registry"}, imports: basics},
	{packages: []string{"internal/apiserver/plugins"}, imports: with(basics, []string{"internal/manifest"})},
	{
		packages: []string{"internal/apiserver/networks"},
		imports:  with(basics, contract, []string{"internal/store", "internal/helper", "internal/manifest", "internal/apiserver/networks/addressing", "internal/apiserver/networks/amend", "internal/apiserver/networks/instance", "internal/apiserver/networks/knowledge", "internal/apiserver/networks/program", "internal/apiserver/networks/shown", "internal/apiserver/inturn", "internal/apiserver/snapshot"}),
		tests:    []string{"internal/apiserver/plugins"},
	},
	{packages: []string{"internal/apiserver/networks/instance"}, imports: []string{"api/...", "resource", "internal/layout", "internal/helper", "internal/manifest", "internal/client/pluginclient", "internal/wire/pluginwire", "internal/apiserver/networks/program"}},
	{packages: []string{"internal/apiserver/networks/program"}, imports: []string{"resource", "internal/layout", "internal/helper", "internal/manifest", "internal/trace"}},
	{packages: []string{"internal/apiserver/networks/knowledge"}, imports: []string{"resource", "internal/apiserver/inturn"}},
	{packages: []string{"internal/apiserver/networks/shown"}, imports: []string{"resource", "internal/apiserver/snapshot"}},
	{packages: []string{"internal/apiserver/networks/amend"}, imports: []string{"resource", "internal/apiserver/networks/addressing"}},
	{packages: []string{"internal/apiserver/networks/addressing"}, imports: []string{"api/...", "resource", "internal/ipam", "internal/wire", "internal/wire/field", "internal/wire/pluginwire"}},
	{packages: []string{"internal/apiserver/containers/..."}, imports: with(basics, contract, []string{"internal/store", "internal/helper", "internal/manifest", "internal/containerlog", "internal/treecopy/parts", "internal/apiserver/inturn", "internal/apiserver/snapshot"})},
	{packages: []string{"internal/apiserver/inturn", "internal/apiserver/snapshot"}, imports: []string{}},
	{packages: []string{"internal/apiserver/images"}, imports: with(basics, []string{"internal/imagestore", "internal/imagearchive", "internal/registry", "internal/apiserver/images/catalog", "internal/apiserver/images/document"}), tests: []string{"internal/wire", "internal/apiserver/images/catalog/catalogtest"}},
	{packages: []string{"internal/apiserver/images/catalog"}, imports: []string{"resource", "resource/event", "internal/imagestore"}, tests: []string{"internal/apiserver/images/catalog/catalogtest"}},
	{packages: []string{"internal/apiserver/images/catalog/catalogtest"}, thirdParty: []string{"github.com/containerd/errdefs"}},
	{packages: []string{"internal/apiserver/images/document"}, imports: []string{"resource"}},
	{packages: []string{"internal/apiserver/events"}, imports: basics},
	{packages: []string{"internal/apiserver/traces"}, imports: []string{"internal/trace", "internal/trace/collect"}},
	{packages: []string{"internal/apiserver/system"}, imports: with(basics, []string{"internal/apiserver/plugins", "internal/apiserver/snapshot", "internal/config", "internal/helper", "internal/manifest"})},
	{packages: []string{"internal/apiserver/metrics"}, imports: with(basics, []string{"internal/rpc", "internal/config", "internal/apiserver/networks", "internal/apiserver/snapshot"})},
	// Harnesses see the requests of services as values, beside the interfaces
	// that they declare.
	{packages: []string{"internal/apiserver/rpc"}, imports: with(basics, contract, []string{"internal/apiserver/networks", "internal/apiserver/snapshot", "internal/apiserver/traces", "internal/treecopy/parts"})},
	{
		packages: []string{"internal/apiserver"},
		imports: with(basics, contract, []string{
			"internal/apiserver/...", "internal/config", "internal/manifest", "internal/store", "internal/helper", "internal/imagestore",
		}),
	},

	// The command line.
	{packages: []string{"internal/netimport"}, imports: []string{"resource"}},
	{packages: []string{"internal/cli/..."}, imports: with(basics, contract, []string{"internal/netimport", "internal/stdio", "internal/treecopy/...", "internal/trace/collect"})},

	// Programs: each only wires.
	{packages: []string{"cmd/patchbay"}, imports: []string{"internal/cli", "internal/version", "internal/stack/first", "internal/timerslack"}},
	{packages: []string{"cmd/patchbayd"}, imports: with(basics, []string{"internal/apiserver/...", "internal/config", "internal/rpc", "internal/store", "internal/wire"})},
	{packages: []string{"cmd/patchbay-network-bridge"}, imports: []string{"networkplugin", "internal/hostnews/listener", "internal/plugins/bridge", "internal/version"}},
	{packages: []string{"cmd/patchbay-network-macvlan"}, imports: []string{"networkplugin", "internal/plugins/macvlan", "internal/version"}},
	{packages: []string{"cmd/patchbay-network-host-device"}, imports: []string{"networkplugin", "internal/plugins/hostdevice", "internal/version"}},
	{packages: []string{"cmd/patchbay-network-usermode"}, imports: []string{"networkplugin", "internal/plugins/usermode", "internal/version"}},
	{packages: []string{"cmd/patchbay-guest"}, imports: []string{"internal/runtime/..."}},
	{packages: []string{"cmd/patchbay-runtime-vm"}, imports: []string{"internal/runtime/vm/...", "internal/sandbox/...", "internal/version"}},
	{packages: []string{"cmd/patchbay-runtime-oci"}, imports: []string{"internal/runtime/oci/...", "internal/sandbox/...", "internal/version"}},

	// Drivers of benchmarks, which see a patchbayd from outside as users do.
	{packages: []string{"test/bench/..."}, imports: with(contract, []string{"resource", "internal/layout", "internal/atomicfile", "internal/netns"})},

	{packages: []string{"test/layers"}},
	{packages: []string{"test/probe/..."}, thirdParty: []string{"golang.org/x/sys/unix"}},
	{packages: []string{"test/integration"}},
}

// testImports is what test files may import beside what their package may.
var testImports = []string{"internal/netnstest/...", "networkplugin/plugintest", "resource", "internal/netns"}

// unbound packages hold tests alone, which look at the whole.
var unbound = []string{"test/integration"}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		l, ok := layerOf(t, p.path)
		if !ok || matchesAny(unbound, p.path) {
			continue
		}
		for _, imported := range p.imports(false) {
			checkImport(t, l, p.path, imported, nil)
		}
		for _, imported := range p.imports(true) {
			checkImport(t, l, p.path, imported, with(testImports, l.tests))
		}
	}
}

// layerOf returns the layer of a package: that which names it, else the one whose
// pattern it fits.
func layerOf(t *testing.T, name string) (layer, bool) {
	var named, found []layer
	for _, l := range layers {
		if slices.Contains(l.packages, name) {
			named = append(named, l)
		}
		if matchesAny(l.packages, name) {
			found = append(found, l)
		}
	}
	if len(named) > 0 {
		found = named
	}
	if len(found) != 1 {
		t.Errorf("package %s: is in %d layers of test/layers/layers_test.go, want it in 1", name, len(found))
		return layer{}, false
	}
	return found[0], true
}

func checkImport(t *testing.T, l layer, name, imported string, also []string) {
	t.Helper()
	target, ours := own(imported)
	switch {
	case !ours && also == nil && l.thirdParty != nil && strings.Contains(imported, ".") && !matchesAny(l.thirdParty, imported):
		t.Errorf("package %s: imports %s, want only the standard library and %v", name, imported, l.thirdParty)
	case !ours || target == name || matchesAny(l.imports, target) || matchesAny(also, target):
	case matchesAny(l.packages, target) && !l.apart:
	case also != nil && strings.HasPrefix(target, name+"/"):
		// A test may use its package's own sub-packages.
	default:
		t.Errorf("package %s: imports %s, which its layer does not allow", name, target)
	}
}

// The daemon knows no plugin and no strategy: that rule is the architecture.
// Whoever wants to break it has to delete this test.
func TestDaemonKnowsNoPlugin(t *testing.T) {
	t.Parallel()
	for program, forbidden := range map[string][]string{
		"cmd/patchbayd": {
			module + "/internal/plugins/...", module + "/networkplugin/...", module + "/internal/sandbox/...", module + "/internal/runtime/...",
			module + "/internal/link/...", module + "/internal/netns", module + "/internal/firewall", module + "/internal/cli/...",
			"github.com/vishvananda/netlink/...", "github.com/vishvananda/netns/...", "github.com/google/nftables/...",
		},
		"cmd/patchbay": {
			module + "/internal/plugins/...", module + "/networkplugin/...", module + "/internal/sandbox/...", module + "/internal/runtime/...",
			module + "/internal/link/...", module + "/internal/firewall", module + "/internal/apiserver/...", module + "/internal/store",
		},
		"cmd/patchbay-network-bridge": {
			module + "/internal/plugins/macvlan", module + "/internal/apiserver/...", module + "/internal/sandbox/...", module + "/internal/runtime/...",
		},
		"cmd/patchbay-network-macvlan": {
			module + "/internal/plugins/bridge", module + "/internal/apiserver/...", module + "/internal/sandbox/...", module + "/internal/runtime/...",
		},
		"cmd/patchbay-network-usermode": {
			module + "/internal/firewall", module + "/internal/apiserver/...", module + "/internal/sandbox/...", module + "/internal/runtime/...",
		},
		"cmd/patchbay-runtime-oci": {
			module + "/internal/plugins/...", module + "/networkplugin/...", module + "/internal/apiserver/...", module + "/internal/firewall",
			"gvisor.dev/gvisor/...", // each container has such a process
		},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			for _, name := range dependencies(t, program) {
				if matchesAny(forbidden, name) {
					t.Errorf("%s: reaches %s", program, name)
				}
			}
		})
	}
}

// A message of api takes memory in each process that links it, used or not. Of
// helpers and plugins there are as many as containers and networks: they link the
// contracts that they speak.
func TestLinksItsContractsAlone(t *testing.T) {
	t.Parallel()
	for program, contracts := range map[string][]string{
		"cmd/patchbay-network-bridge":      {"types", "plugin"},
		"cmd/patchbay-network-macvlan":     {"types", "plugin"},
		"cmd/patchbay-network-host-device": {"types", "plugin"},
		"cmd/patchbay-network-usermode":    {"types", "plugin"},
		"cmd/patchbay-runtime-oci":         {"types", "plugin", "sandbox"},
		"cmd/patchbay-runtime-vm":          {"types", "plugin", "sandbox", "guest"},
		"cmd/patchbay-guest":               {"types", "plugin", "guest"},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			for _, name := range dependencies(t, program) {
				contract, ours := strings.CutPrefix(name, module+"/api/patchbay/")
				contract, _, _ = strings.Cut(contract, "/")
				if ours && !slices.Contains(contracts, contract) {
					t.Errorf("%s: reaches %s, want only %v", program, name, contracts)
				}
			}
		})
	}
}

// What the command line links takes time of each command before it begins: the kernel
// maps, and Go initializes, all of it. Of what is large it needs nothing.
func TestCommandLineIsSmall(t *testing.T) {
	t.Parallel()
	for _, name := range dependencies(t, "cmd/patchbay") {
		if slices.Contains([]string{"net/http", "crypto/tls", "crypto/x509", "connectrpc.com/connect/v2/connecthttp"}, name) {
			t.Errorf("cmd/patchbay: reaches %s, see decision 0047", name)
		}
		if strings.HasPrefix(name, "google.golang.org/protobuf") {
			t.Errorf("cmd/patchbay: reaches %s, see decision 0059", name)
		}
		if strings.HasPrefix(name, "crypto") || strings.HasSuffix(name, "/go-runewidth") {
			t.Errorf("cmd/patchbay: reaches %s, see decision 0069", name)
		}
	}
}

// There is a process for each container and for each network: none has the descriptors
// of descriptors, which are made when it begins, and stay.
func TestProcessesHaveNoDescriptorsOfDescriptors(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"cmd/patchbay-network-bridge", "cmd/patchbay-runtime-oci", "cmd/patchbayd"} {
		for _, name := range dependencies(t, program) {
			if slices.Contains([]string{"google.golang.org/protobuf/reflect/protodesc", "google.golang.org/protobuf/types/descriptorpb"}, name) {
				t.Errorf("%s: reaches %s, see decision 0101", program, name)
			}
		}
	}
}

// dependencies lists the packages that a program is made of.
func dependencies(t *testing.T, program string) []string {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "./"+program)
	list.Dir = root(t)
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}
