//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// A plugin is replaced by the one that is installed now, while connections go
// on over its network and over that of another plugin. One that does not start is
// reported in its own words, and tried again until it does.
func TestUpgradeOfPlugin(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.ip(h.internet, "addr add 10.77.0.200/24 dev host")
	h.patchbay(append([]string{"run", "-d", "--name", "server", "--network", "web", "--network", "lan", "box"}, echoCommand...)...)
	before := h.container("server").Status
	streams := []*stream{
		openStream(t, h.ns, h.attachment("server", "web").IPv4Address.Addr()),
		openStream(t, h.internet, h.attachment("server", "lan").IPv4Address.Addr()),
	}
	alive := func() {
		t.Helper()
		for _, s := range streams {
			s.alive(t)
		}
	}
	web, lan := h.network("web").Status.PluginPID, h.network("lan").Status.PluginPID

	program, err := os.ReadFile(binary("../lib/patchbay/plugins/bridge/bin/bridge"))
	if err != nil {
		t.Fatal(err)
	}
	h.plugin("bridge", resource.StrategyBridgePort, program) // comes first in the path
	if out := h.patchbay("plugin", "restart", "bridge"); out != "default\nweb" {
		t.Errorf("plugin restart: got %q, want the names of the networks", out)
	}
	alive()
	now := h.network("web").Status
	if now.PluginPID == web || h.network("lan").Status.PluginPID != lan {
		t.Errorf("after the restart: got %+v, want another process for web, and for lan the same", now)
	}
	if got, want := executable(t, now.PluginPID), filepath.Join(h.dir, "plugins/bridge/bin/bridge"); got != want {
		t.Errorf("program of the restarted plugin: got %s, want %s", got, want)
	}
	h.awaitLease("web", "server")

	h.patchbay("plugin", "restart", "--network", "lan")
	if h.network("lan").Status.PluginPID == lan {
		t.Error("network lan: has its former process still")
	}
	h.awaitLease("lan", "server")
	alive()

	replace(t, filepath.Join(h.dir, "plugins/bridge/bin/bridge"), []byte("#!/bin/sh\necho 'no such device: flux capacitor' >&2\nexit 1\n"))
	wantRefusal(t, h.try("plugin", "restart", "--network", "web"), []int{1}, "web", "bridge", "no such device: flux capacitor")
	if s := h.network("web").Status; s.State != resource.NetworkFailed || !strings.Contains(s.Message, "flux capacitor") {
		t.Errorf("after the restart of a program that dies: got %+v, want failed and its words", s)
	}
	alive()
	replace(t, filepath.Join(h.dir, "plugins/bridge/bin/bridge"), program)
	eventually(t, settle, func() error {
		if s := h.network("web").Status; s.State != resource.NetworkReady {
			return fmt.Errorf("state %s (%s)", s.State, s.Message)
		}
		return nil
	})
	h.awaitLease("web", "server")
	alive()
	if s := h.container("server").Status; s.State != resource.ContainerRunning || s.PID != before.PID {
		t.Errorf("after all: got %+v, want the container untouched", s)
	}
	wantRefusal(t, h.try("plugin", "restart", "none"), []int{1}, "none", "bridge", "macvlan")
	wantRefusal(t, h.try("plugin", "restart", "--network", "none"), []int{1}, "none", "web", "lan")
	wantRefusal(t, h.try("plugin", "restart", "oci"), []int{1}, "oci", "runtime")
}

// replace puts a program in the place of one that may be running.
func replace(t *testing.T, path string, program []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// executable is the program that a process runs.
func executable(t *testing.T, pid int) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitLease waits until the lease of a container on a network is held by it.
func (h *host) awaitLease(network, container string) {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		if state := h.leaseState(network, container); state != resource.LeaseHeld {
			return fmt.Errorf("network %s: lease of %s is %q, want it held", network, container, state)
		}
		return nil
	})
}

// leaseState is that of the lease of a container on a network; empty: it has none.
func (h *host) leaseState(network, container string) resource.LeaseState {
	h.t.Helper()
	for _, a := range h.network(network).Status.Attachments {
		if a.Container == container {
			return a.LeaseState
		}
	}
	return ""
}
