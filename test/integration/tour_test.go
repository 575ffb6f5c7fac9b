//go:build integration

package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// The tour that the README promises, by the commands that a user types.
func TestTour(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.patchbay("system", "start")
	h.patchbay("image", "import", h.boxFile(), "box:latest")
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "--network", "lan", "box:latest", "sleep", "1000")

	addresses := h.patchbay("exec", "one", "ip", "-o", "addr")
	for _, name := range []string{"eth0", "eth1"} {
		if !strings.Contains(addresses, name) {
			t.Errorf("want interface %s in the container:\n%s", name, addresses)
		}
	}
	if got := h.patchbay("run", "--rm", "--network", "web", "box", "echo", "hello"); got != "hello" {
		t.Errorf("run: got %q, want %q", got, "hello")
	}
	if got := h.patchbay("list", "-q", "--no-trunc"); got != h.container("one").ID {
		t.Errorf("list -q: got %q, want the one container", got)
	}
	table := h.patchbay("list")
	for _, want := range []string{"NAME", "one", "box:latest", "running"} {
		if !strings.Contains(table, want) {
			t.Errorf("list: want %q in it:\n%s", want, table)
		}
	}
	h.patchbay("stop", "-t", "0", "one")
	h.patchbay("delete", "one")
	h.patchbay("network", "delete", "web", "lan")
	h.patchbay("system", "stop")
	if r := h.try("system", "status"); r.code != 3 {
		t.Errorf("system status after stop: want exit code 3: %s", r)
	}
}

// The noun commands print tables for people and JSON for programs.
func TestFormats(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web", "--label", "tier=front")
	h.patchbay("create", "--name", "one", "--network", "web", "box", "true")
	for _, args := range [][]string{
		{"list", "-a"},
		{"network", "list"},
		{"image", "list"},
		{"plugin", "list"},
		{"registry", "list"},
		{"system", "info"},
		{"system", "version"},
		{"system", "status"},
		{"inspect", "one"},
		{"network", "inspect", "web"},
		{"image", "inspect", "box"},
		{"plugin", "inspect", "bridge"},
	} {
		out := h.patchbay(append(args, "--format", "json")...)
		if !json.Valid([]byte(out)) {
			t.Errorf("%v --format json: not JSON:\n%s", args, out)
		}
	}
	for _, args := range [][]string{{"list", "-a"}, {"network", "list"}, {"image", "list"}, {"plugin", "list"}} {
		header := strings.Fields(h.patchbay(args...))[0]
		if header != strings.ToUpper(header) {
			t.Errorf("%v: want a table with a header, got %q first", args, header)
		}
	}
	if got := h.network("web"); got.Labels["tier"] != "front" || got.Configuration.Plugin != (resource.PluginInfo{Plugin: "bridge", Variant: "nat"}) {
		t.Errorf("network web: got %+v", got)
	}
	if got := h.network(resource.DefaultNetworkName); !got.Status.BuiltIn {
		t.Errorf("network default: want it built in: %+v", got.Status)
	}
	// A program that reads this must not break with a plugin's absence.
	var plugins []struct {
		Name, Kind string
	}
	if err := json.Unmarshal([]byte(h.patchbay("plugin", "list", "--format", "json")), &plugins); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, p := range plugins {
		kinds[p.Name] = p.Kind
	}
	if kinds["bridge"] != "network" || kinds["macvlan"] != "network" || kinds["oci"] != "runtime" {
		t.Errorf("plugin list: got %v", kinds)
	}
}
