//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// plugin drops a network plugin into the host's plugin directory.
func (h *host) plugin(name, strategy string, program []byte) {
	h.t.Helper()
	// By another process: a program that a child of this one has open for writing, if
	// only between fork and exec, cannot be executed.
	path := h.write("plugins/"+name+"/bin/"+name, nil, 0o755)
	write := exec.Command("tee", path)
	write.Stdin = bytes.NewReader(program)
	if err := write.Run(); err != nil {
		h.t.Fatal(err)
	}
	h.write("plugins/"+name+"/plugin.toml", fmt.Appendf(nil, `name = %q
kind = "network"
protocol = 1
abstract = "A plugin of a test"
default-variant = "nat"

[variants.nat]
strategy = %q
`, name, strategy), 0o644)
}

// toyPlugin is the program of a plugin from outside of this module, built by itself, once.
var toyPlugin = sync.OnceValues(func() (program []byte, err error) {
	repository, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pbtoy")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "source")
	if err := os.CopyFS(source, os.DirFS("../toyplugin")); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"mod", "edit", "-replace", "patchbay.dev/patchbay=" + repository},
		{"build", "-mod=mod", "-o", filepath.Join(dir, "toy"), "."},
	} {
		build := exec.Command("go", args...)
		build.Dir = source
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return os.ReadFile(filepath.Join(dir, "toy"))
})

// A plugin from outside of this module, dropped into a directory of a running daemon,
// serves a container: on one network by a port that the runtime makes, on another by an
// interface that it makes itself. The latter comes and goes while the container runs, the
// plugin may die, and nothing of it outlives the container.
func TestToyPlugin(t *testing.T) {
	onEachRuntime(t, testToyPlugin)
}

func testToyPlugin(t *testing.T, h *host) {
	program, err := toyPlugin()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("../toyplugin/plugin.toml")
	if err != nil {
		t.Fatal(err)
	}
	h.up()
	if r := h.try("network", "create", "toys", "--plugin", "toy"); r.code != 1 {
		t.Errorf("before the plugin is there: want the network refused: %s", r)
	}
	h.plugin("toy", "", program)
	h.write("plugins/toy/plugin.toml", manifest, 0o644)

	if out := h.patchbay("plugin", "list"); !strings.Contains(out, "toy") {
		t.Errorf("plugin list: want the toy in it:\n%s", out)
	}
	h.patchbay("network", "create", "toys", "--plugin", "toy")
	h.patchbay("network", "create", "own", "--plugin", "toy", "--plugin-variant", "own", "--mtu", "1400")
	h.patchbay("network", "create", "web")
	if r := h.try("run", "--runtime", h.runtime, "--network", "own,rate-in=1mbit", "box", "true"); r.code == 0 || !strings.Contains(r.stderr, "strategy delegated, on which runtime "+h.runtime+" cannot hold a rate") {
		t.Errorf("a rate on what a plugin makes: %s", r)
	}
	h.patchbay("run", "-d", "--name", "two", "--network", "toys", "--network", "own", "box", "sleep", "1000")
	h.run(slices.Concat([]string{"--name", "one", "--network", "toys", "--network", "web", "--network", "own,ifname=made", "box"}, echoCommand)...)
	reached := func() {
		t.Helper()
		for _, network := range []string{"toys", "own"} {
			for _, a := range addressesOf(t, h.attachment("two", network)) {
				h.mustPing("one", a.Addr())
			}
			for _, a := range addressesOf(t, h.attachment("one", network)) {
				h.mustPing("two", a.Addr())
			}
		}
		h.patchbay("exec", "one", "ping", "-c", "1", "-W", "60", "two.own")
	}
	reached()
	a := h.attachment("one", "own")
	if got := h.patchbay("exec", "one", "cat", "/sys/class/net/made/address", "/sys/class/net/made/mtu"); got != string(a.MACAddress)+"\n1400" {
		t.Errorf("the interface: %q, want %s and 1400", got, a.MACAddress)
	}
	stream := openStream(t, h.namespaceOf("two"), h.attachment("one", "own").IPv4Address.Addr())
	other := openStream(t, h.ns, h.attachment("one", "web").IPv4Address.Addr())
	kill(t, h.network("own").Status.PluginPID)
	stream.alive(t)
	h.patchbay("network", "disconnect", "own", "one") // dead or not
	h.inUse("own", 1)
	if got := h.interfaces("one"); strings.Contains(got, "made") {
		t.Errorf("interfaces %q after the network was left", got)
	}
	h.patchbay("network", "connect", "own,ifname=made", "one")
	reached()
	other.alive(t)

	h.patchbay("network", "disconnect", "web", "one")
	ports := func() int {
		t.Helper()
		return strings.Count(h.ip(h.ns, "-o link"), "toyp")
	}
	before := ports()
	kill(t, h.container("one").Status.HelperPID)
	eventually(t, settle, func() error {
		if now := ports(); now != before-2 {
			return fmt.Errorf("%d ports are on the bridges of the plugin, want %d", now, before-2)
		}
		return nil
	})
}

// A plugin that dies at start makes the network fail at once, in its own words.
func TestPluginThatDies(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.plugin("dying", resource.StrategyBridgePort, []byte("#!/bin/sh\necho 'no such device: flux capacitor' >&2\nexit 1\n"))
	r := h.try("network", "create", "n", "--plugin", "dying")
	wantRefusal(t, r, []int{1}, "dying", "no such device: flux capacitor")
	if out := h.patchbay("network", "list", "-q"); strings.Contains(out, "n\n") || len(strings.Fields(out)) != 1 {
		t.Errorf("network list: want the built-in one alone:\n%s", out)
	}
}

// A plugin that hangs fails at its deadline.
func TestPluginThatHangs(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.plugin("hanging", resource.StrategyBridgePort, []byte("#!/bin/sh\nexec sleep 1000\n"))
	wantRefusal(t, h.try("network", "create", "n", "--plugin", "hanging"), []int{1}, "hanging")
	h.patchbay("run", "--rm", "box", "true")
}

// A plugin that hangs delays nothing else.
func TestBesidePluginThatHangs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[timeouts]\nplugin-ready = \"1h\"\n"), 0o644)
	h.up()
	enough := filepath.Join(h.dir, "enough")
	h.plugin("hanging", resource.StrategyBridgePort, []byte("#!/bin/sh\nwhile [ ! -e "+enough+" ]; do sleep 0.1; done\n"))
	hanging := h.begin("network", "create", "n", "--plugin", "hanging")
	ended := make(chan result, 1)
	go func() { ended <- h.wait(hanging) }()

	h.patchbay("network", "create", "web")
	h.patchbay("run", "--rm", "--network", "web", "box", "true")
	h.patchbay("network", "list")
	select {
	case r := <-ended:
		t.Errorf("the hanging one ended before the others, which therefore may have waited for it: %s", r)
	default:
	}
	h.write("enough", nil, 0o644)
	wantRefusal(t, <-ended, []int{1}, "hanging")
}

// A plugin that stops answering costs its own network only.
func TestPluginThatStopsAnswering(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "stuck")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
	pid := h.network("stuck").Status.PluginPID
	stopProcess(t, pid)
	t.Cleanup(func() { h.command(h.ns, "kill", "-CONT", fmt.Sprint(pid)) })

	h.patchbay("run", "--rm", "--network", "web", "box", "true")
	if out := h.patchbay("network", "list"); !strings.Contains(out, "degraded") && !strings.Contains(out, "failed") {
		t.Errorf("network list: want the state of the stuck network to show:\n%s", out)
	}
	if s := h.container("one").Status; s.State != resource.ContainerRunning {
		t.Errorf("container on another network: got %+v", s)
	}
	h.must(h.command(h.ns, "kill", "-CONT", fmt.Sprint(pid)))
	eventually(t, settle, func() error {
		if s := h.network("stuck").Status; s.State != resource.NetworkReady {
			return fmt.Errorf("state %s (%s)", s.State, s.Message)
		}
		return nil
	})
}

// A container whose networks need what its runtime lacks is refused before
// anything is touched.
func TestStrategyThatRuntimeLacks(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	program, err := os.ReadFile(binary("../lib/patchbay/plugins/bridge/bin/bridge"))
	if err != nil {
		t.Fatal(err)
	}
	// The bridge plugin with a manifest that names another strategy. It comes
	// first in the path, so it shadows the true one.
	h.plugin("bridge", resource.StrategyIPvlan, program)
	h.patchbay("network", "create", "odd", "--plugin", "bridge")
	r := h.try("run", "--rm", "--name", "one", "--network", "odd", "box", "true")
	wantRefusal(t, r, []int{125}, "odd", "bridge", "nat", resource.StrategyIPvlan, "oci")
	if n := len(h.containers()); n != 0 {
		t.Errorf("got %d containers, want none", n)
	}
	if out := h.patchbay("plugin", "inspect", "bridge", "--format", "json"); !strings.Contains(out, "shadowed") {
		t.Errorf("plugin inspect: want the shadowed one reported:\n%s", out)
	}
}

// Plugins that cannot be trusted or understood are shown, and never started.
func TestBadManifests(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	witness := filepath.Join(h.dir, "was-started")
	program := []byte("#!/bin/sh\ntouch " + witness + "\nexit 1\n")
	for name, spoil := range map[string]func(folder string) error{
		"malformed": func(f string) error { return os.WriteFile(f+"/plugin.toml", []byte("name = \n"), 0o644) },
		"unknownkey": func(f string) error {
			return os.WriteFile(f+"/plugin.toml", []byte("name = \"unknownkey\"\nkind = \"network\"\nprotocol = 1\ncolour = 1\n"), 0o644)
		},
		"othername":   func(f string) error { return os.WriteFile(f+"/plugin.toml", []byte("name = \"x\"\n"), 0o644) },
		"writable":    func(f string) error { return os.Chmod(f+"/plugin.toml", 0o666) },
		"writablebin": func(f string) error { return os.Chmod(f+"/bin/writablebin", 0o777) },
		"foreign":     func(f string) error { return os.Chown(f+"/bin/foreign", 1000, 1000) },
		"nobinary":    func(f string) error { return os.Remove(f + "/bin/nobinary") },
	} {
		t.Run(name, func(t *testing.T) {
			h.plugin(name, resource.StrategyBridgePort, program)
			if err := spoil(filepath.Join(h.dir, "plugins", name)); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, h.try("network", "create", "n", "--plugin", name), []int{1}, name)
			if out := h.patchbay("plugin", "list"); !strings.Contains(out, name) {
				t.Errorf("plugin list: want the bad plugin shown:\n%s", out)
			}
		})
	}
	if _, err := os.Stat(witness); err == nil {
		t.Error("a bad plugin was started")
	}
}
