//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

const pythonBridge = "../../examples/python-bridge"

// installPythonBridge drops the example into the host's plugin directory.
func (h *host) installPythonBridge() {
	h.t.Helper()
	source := os.DirFS(pythonBridge)
	err := fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(source, path)
		h.write("plugins/python-bridge/"+path, content, info.Mode().Perm())
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// A plugin in another language, dropped into a directory of a running daemon,
// serves a container beside plugins of this repository, and is replaced by
// another version while a connection goes over its network.
func TestPythonBridge(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	wantRefusal(t, h.try("network", "create", "py", "--plugin", "python-bridge"), []int{1}, "python-bridge")
	h.installPythonBridge()
	h.patchbay("network", "create", "py", "--plugin", "python-bridge")

	h.patchbay(append([]string{"run", "-d", "--name", "server", "--network", "web", "--network", "py,alias=store", "--network", "lan", "box"}, echoCommand...)...)
	h.patchbay("run", "-d", "--name", "client", "--network", "py", "box", "sleep", "1000")
	address := h.attachment("server", "py").IPv4Address.Addr()
	h.mustPing("client", address)
	h.mustPing("server", h.attachment("client", "py").IPv4Address.Addr())
	h.patchbay("exec", "client", "ping", "-c", "1", "-W", "60", "store")
	for _, network := range []string{"web", "py", "lan"} {
		h.awaitLease(network, "server")
	}
	wantRefusal(t, h.try("run", "--rm", "--network", "py,ip="+address.String(), "box", "true"), []int{125}, address.String(), "server")
	wantRefusal(t, h.try("network", "create", "other", "--plugin", "python-bridge", "-o", "colour=red", "--plugin-variant", "plain"), []int{1}, "colour")
	if out := h.patchbay("network", "explain", "server"); !strings.Contains(out, "python-bridge") || !strings.Contains(out, "not filtered") {
		t.Errorf("network explain: want the plugin named, and what it says:\n%s", out)
	}

	h.patchbay("network", "update", "py", "--mtu", "1400")
	if mtu := h.network("py").Status.MTU; mtu != 1400 {
		t.Errorf("after network update: got mtu %d, want 1400", mtu)
	}

	connection := openStream(t, h.ns, address)
	before := h.instance("python-bridge")
	network := filepath.Join(h.dir, "plugins/python-bridge/bin/network.py")
	program, err := os.ReadFile(network)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, network, bytes.Replace(program, []byte(`VERSION = "`+before.Version+`"`), []byte(`VERSION = "2.0"`), 1))
	h.patchbay("plugin", "restart", "python-bridge")
	connection.alive(t)
	if after := h.instance("python-bridge"); after.PID == before.PID || after.Version != "2.0" {
		t.Errorf("after the upgrade: got %+v, before it %+v; want another process, of version 2.0", after, before)
	}
	h.awaitLease("py", "server")
	h.awaitLease("py", "client")
	connection.alive(t)
	kill(t, h.daemonPID())
	connection.alive(t)
	h.patchbay("system", "start") // the next patchbayd finds the process, and speaks as it does
	eventually(t, settle, func() error {
		if adopted := h.instance("python-bridge"); adopted.Version != "2.0" {
			return fmt.Errorf("after the death of patchbayd: got %+v, want the same plugin", adopted)
		}
		return nil
	})
	if other := h.patchbay("run", "--rm", "--network", "py,rate-in=100mbit", "box", "ip", "-4", "-o", "addr", "show", "eth0"); strings.Contains(other, address.String()+"/") {
		t.Errorf("another container got the address of a live one: %s", other)
	}

	kill(t, h.container("server").Status.HelperPID)
	eventually(t, settle, func() error { // promise P2
		if state := h.leaseState("py", "server"); state != "" {
			return fmt.Errorf("lease of a dead sandbox: %s", state)
		}
		return nil
	})
}

// instance is the one process of a plugin.
func (h *host) instance(plugin string) resource.PluginInstance {
	h.t.Helper()
	type view struct{ Instances []resource.PluginInstance }
	var all []view
	if err := json.Unmarshal([]byte(h.patchbay("plugin", "inspect", plugin)), &all); err != nil || len(all) != 1 || len(all[0].Instances) != 1 {
		h.t.Fatalf("plugin %s: got %+v, %v, want one instance", plugin, all, err)
	}
	return all[0].Instances[0]
}
