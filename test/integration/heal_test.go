//go:build integration

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
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
	h.patchbay("exec", "one", "ping", "-c", "1", "-W", "5", farIPv4)
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

// allServe fails unless all bridges of so many networks are in the packet filter.
func (h *host) allServe(networks int) error {
	set := h.command(h.ns, "nft", "list", "set", "inet", "patchbay", "bridges").stdout
	if now := strings.Count(set, "\"pb-"); now < networks {
		return fmt.Errorf("%d bridges are in the packet filter, want %d:\n%s", now, networks, set)
	}
	return nil
}
