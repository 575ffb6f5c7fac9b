//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Another program that loads its rules anew flushes those of everybody. Patchbay puts its
// own back, and leaves what is the other's as it is.
func TestFlushHeals(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
	own := func(family string) string {
		return h.command(h.ns, "nft", "-s", "list", "table", family, "patchbay").stdout
	}
	foreign := h.must(h.command(h.ns, "nft", "list", "table", "inet", "somebody_else"))
	inet, bridge := own("inet"), own("bridge")
	if inet == "" || bridge == "" {
		t.Fatal("there are no tables of Patchbay")
	}
	h.must(h.command(h.ns, "nft", "flush ruleset; "+foreign))
	eventually(t, settle, func() error {
		if now := own("inet"); now != inet {
			return fmt.Errorf("table inet patchbay:\n%s\nwant:\n%s", now, inet)
		}
		if now := own("bridge"); now != bridge {
			return fmt.Errorf("table bridge patchbay:\n%s\nwant:\n%s", now, bridge)
		}
		return nil
	})
	if now := h.must(h.command(h.ns, "nft", "list", "table", "inet", "somebody_else")); now != foreign {
		t.Errorf("the other's table:\n%s\nwant:\n%s", now, foreign)
	}
	h.patchbay("exec", "one", "ping", "-c", "1", "-W", "60", farIPv4)
}

// What others change on the host without anybody hearing of it is found when it is asked for,
// and put right when that is wanted, while a connection goes on. What a plugin cannot put
// right stays found.
func TestNetworkCheck(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.must(h.command(h.ns, "ip", "link", "add", "spare", "type", "veth", "peer", "name", "spare-far"))
	for _, end := range []string{"spare", "spare-far"} {
		h.must(h.command(h.ns, "ip", "link", "set", end, "up"))
	}
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent=spare", "--subnet", "192.168.7.0/24")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
	type checked struct {
		Network          string
		Faults, Repaired []string
		Unchecked        string
	}
	check := func(want int, args ...string) (all []checked) {
		t.Helper()
		r := h.try(append([]string{"network", "check", "--format", "json"}, args...)...)
		if r.code != want {
			t.Errorf("network check %q: %v, want the exit code %d", args, r, want)
		}
		if err := json.Unmarshal([]byte(r.stdout), &all); err != nil {
			t.Fatalf("network check %q: %v: %v", args, r, err)
		}
		return all
	}
	for _, n := range check(0) {
		if len(n.Faults)+len(n.Repaired) > 0 || n.Unchecked != "" {
			t.Errorf("at first: %+v", n)
		}
	}
	bridge := "pb-" + h.network("web").ID[:12]
	gateway := h.network("web").Status.IPv4Gateway.String()
	h.must(h.command(h.ns, "ip", "address", "flush", "dev", bridge))
	h.must(h.command(h.ns, "sysctl", "-w", "net.ipv4.ip_forward=0"))
	broken := check(1, "web")[0].Faults
	if text := strings.Join(broken, "\n"); !strings.Contains(text, "lacks address "+gateway) || !strings.Contains(text, "ip_forward") {
		t.Errorf("faults %q", broken)
	}
	if again := check(1, "web")[0].Faults; !slices.Equal(again, broken) {
		t.Errorf("looking has changed something: %q, before %q", again, broken)
	}
	now := check(0, "web", "--repair")[0]
	if !slices.Equal(now.Repaired, broken) || len(now.Faults) > 0 {
		t.Errorf("repaired: %+v, want %q", now, broken)
	}
	check(0, "web")
	h.patchbay("exec", "one", "ping", "-c", "1", "-W", "60", farIPv4)

	h.must(h.command(h.ns, "ip", "link", "delete", "spare"))
	if now := check(1, "lan")[0]; len(now.Faults) != 1 || !strings.Contains(now.Faults[0], "spare") {
		t.Errorf("a parent that is gone: %+v", now)
	}
	if r := h.try("network", "check", "nope"); r.code != 1 || !strings.Contains(r.stderr, "nope") {
		t.Errorf("network check nope: %v, want an error that names it", r)
	}
}

// subscriptions counts the sockets that the kernel goes through for each change of links,
// addresses, routes and the packet filter.
func (h *host) subscriptions() int {
	h.t.Helper()
	count := 0
	for line := range strings.Lines(h.must(h.command(h.ns, "cat", "/proc/net/netlink"))) {
		if groups, err := strconv.ParseUint(strings.Fields(line)[3], 16, 32); err == nil && groups != 0 {
			count++
		}
	}
	return count
}

// listeners are the processes that hear for the networks of the instance.
func (h *host) listeners() (all []int) {
	h.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.HasSuffix(line, []byte("\x00listen\x00"+h.runRoot+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// Beside many networks a further one subscribes to nothing: one process hears for it. What is
// flushed heals as ever, also when that process is killed; it ends with the last network.
func TestManyNetworksHaveOneListener(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	create := func(first, last int) {
		for i := first; i < last; i++ {
			h.patchbay("network", "create", fmt.Sprintf("n%d", i))
		}
	}
	create(0, 4)
	if found := h.listeners(); len(found) != 0 {
		t.Errorf("few networks have the listeners %v", found)
	}
	create(4, 18)
	before := h.subscriptions()
	create(18, 20)
	if now := h.subscriptions(); now != before {
		t.Errorf("two further networks subscribe %d sockets", now-before)
	}
	found := h.listeners()
	if len(found) != 1 {
		t.Fatalf("the listeners are %v, want one", found)
	}
	flushed := func() {
		h.must(h.command(h.ns, "nft", "flush", "ruleset"))
		h.foreignRules()
		eventually(t, settle, func() error { return h.allServe(20) })
	}
	flushed()
	kill(t, found[0])
	flushed()
	h.patchbay("network", "create", "later")
	if found := h.listeners(); len(found) != 1 {
		t.Errorf("after that the listeners are %v, want one", found)
	}
	h.patchbay("system", "stop")
	eventually(t, settle, func() error {
		if found := h.listeners(); len(found) != 0 {
			return fmt.Errorf("the listeners %v are left", found)
		}
		return nil
	})
	if _, err := os.Stat(filepath.Join(h.runRoot, "listener.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the listener's socket is left: %v", err)
	}
}

// A listener that is stopped leaves its networks deaf until one of them finds that it does not answer.
func TestStoppedListenerIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	const networks = 20
	for i := range networks {
		h.patchbay("network", "create", fmt.Sprintf("n%d", i))
	}
	found := h.listeners()
	if len(found) != 1 {
		t.Fatalf("the listeners are %v, want one", found)
	}
	stopProcess(t, found[0])
	h.must(h.command(h.ns, "nft", "flush", "ruleset"))
	h.foreignRules()
	eventually(t, 2*settle, func() error { return h.allServe(networks) })
	eventually(t, settle, func() error {
		if left := h.listeners(); len(left) != 0 {
			return fmt.Errorf("the stopped listener %v is still there", left)
		}
		return nil
	})
	h.patchbay("network", "create", "later")
	if left := h.listeners(); len(left) != 1 || left[0] == found[0] {
		t.Errorf("after that the listeners are %v, want another one", left)
	}
}

// A plugin that is stopped keeps no other network from repairing the tables, nor does whoever
// has the lock without which one plugin makes them.
func TestStoppedPluginKeepsNobody(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	for i := range 4 {
		h.patchbay("network", "create", fmt.Sprintf("n%d", i))
	}
	holder := h.start(h.ns, strings.NewReader(""), "flock", "--no-fork", "/proc/self/ns/net", "sleep", "1000")
	t.Cleanup(func() {
		holder.Process.Kill()
		h.wait(holder)
	})
	eventually(t, settle, func() error { // it becomes that when it has the lock
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", holder.Process.Pid))
		if err == nil && string(name) != "sleep\n" {
			err = fmt.Errorf("the holder of the lock is %s", name)
		}
		return err
	})
	stopped := h.network("n0").Status.PluginPID
	stopProcess(t, stopped)
	defer unix.Kill(stopped, unix.SIGCONT)
	h.must(h.command(h.ns, "nft", "flush", "ruleset"))
	h.foreignRules()
	eventually(t, settle, func() error { return h.allServe(4) }) // the default network is one more
}

// allServe fails unless all bridges of so many networks are in the packet filter.
func (h *host) allServe(networks int) error {
	set := h.command(h.ns, "nft", "list", "set", "inet", "patchbay", "bridges").stdout
	if now := strings.Count(set, "\"pb-"); now < networks {
		return fmt.Errorf("%d bridges are in the packet filter, want %d:\n%s", now, networks, set)
	}
	return nil
}
