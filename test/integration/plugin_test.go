//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// A plugin from outside of this module, built by itself and dropped into a
// directory of a running daemon, serves a container.
func TestToyPlugin(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(h.dir, "toyplugin")
	if err := os.CopyFS(source, os.DirFS("../toyplugin")); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(h.dir, "toy")
	for _, args := range [][]string{
		{"mod", "edit", "-replace", "patchbay.dev/patchbay=" + repository},
		{"build", "-mod=mod", "-o", program, "."},
	} {
		build := exec.Command("go", args...)
		build.Dir = source
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	if r := h.try("network", "create", "toys", "--plugin", "toy"); r.code != 1 {
		t.Errorf("before the plugin is there: want the network refused: %s", r)
	}
	manifest, err := os.ReadFile("../toyplugin/plugin.toml")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	h.write("plugins/toy/bin/toy", content, 0o755)
	h.write("plugins/toy/plugin.toml", manifest, 0o644)

	if out := h.patchbay("plugin", "list"); !strings.Contains(out, "toy") {
		t.Errorf("plugin list: want the toy in it:\n%s", out)
	}
	h.patchbay("network", "create", "toys", "--plugin", "toy")
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "one", "--network", "toys", "--network", "web", "box", "sleep", "1000")
	h.patchbay("run", "-d", "--name", "two", "--network", "toys", "box", "sleep", "1000")
	h.mustPing("one", h.attachment("two", "toys").IPv4Address.Addr())
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

// A plugin that hangs fails at its deadline and delays nothing else.
func TestPluginThatHangs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[timeouts]\nplugin-ready = \"8s\"\n"), 0o644)
	h.up()
	h.plugin("hanging", resource.StrategyBridgePort, []byte("#!/bin/sh\nexec sleep 1000\n"))
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
	h.must(h.command(h.ns, "kill", "-STOP", fmt.Sprint(pid)))
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
