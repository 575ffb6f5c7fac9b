//go:build integration

package firewall_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/subscription"
	"patchbay.dev/patchbay/resource"
)

// ruleset is what nft shows of the namespace.
func ruleset(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	return nft(t, ns, "list", "ruleset")
}

func nft(t *testing.T, ns *netns.Namespace, args ...string) string {
	t.Helper()
	var out []byte
	netnstest.Do(t, ns, func() (err error) {
		out, err = exec.Command("nft", args...).CombinedOutput() // inherits the thread's namespace
		return err
	})
	return string(out)
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *firewall.Update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func network(ns *netns.Namespace, id string, reach firewall.Reach) *firewall.Network {
	return firewall.New(firewall.Config{Network: id, Bridge: "pb-" + id, Reach: reach, Namespace: ns})
}

func port(n string) firewall.Port {
	return firewall.Port{
		Interface: firewall.PortPrefix + n, MAC: "02:00:00:00:00:0a",
		Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd09::2")},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRuleset(t *testing.T) {
	t.Parallel()
	for file, reach := range map[string]firewall.Reach{"nat.nft": firewall.NAT, "internal.nft": firewall.Internal} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			ns := netnstest.New(t)
			n := network(ns, "a", reach)
			must(t, n.Ensure())
			must(t, n.Admit(port("0")))
			golden(t, file, ruleset(t, ns))
			must(t, n.Ensure()) // changes nothing
			golden(t, file, ruleset(t, ns))
			if faults := n.Faults(); len(faults) != 0 {
				t.Errorf("faults: %q", faults)
			}
			second := port("1")
			second.Addresses = []netip.Addr{netip.MustParseAddr("10.9.0.3"), netip.MustParseAddr("fd09::3")}
			must(t, n.Admit(second))
			must(t, n.Revoke(second))
			must(t, n.Revoke(second)) // nothing there
			golden(t, file, ruleset(t, ns))
			must(t, n.Remove())
			if left := ruleset(t, ns); left != "" {
				t.Errorf("left after Remove:\n%s", left)
			}
			must(t, n.Remove())
		})
	}
}

func TestNetworksShareTheTables(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	nft(t, ns, "add", "table", "inet", "foreign")
	foreign := ruleset(t, ns)
	a, b := network(ns, "a", firewall.NAT), network(ns, "b", firewall.Internal)
	must(t, b.Ensure())
	must(t, b.Admit(port("1")))
	alone := ruleset(t, ns)
	must(t, a.Ensure())
	must(t, a.Admit(port("0")))
	// Another process, which knows nothing of the elements, removes them.
	must(t, network(ns, "a", firewall.NAT).Remove())
	if diff := cmp.Diff(alone, ruleset(t, ns)); diff != "" {
		t.Errorf("after a has left (-want +got):\n%s", diff)
	}
	must(t, b.Remove())
	if diff := cmp.Diff(foreign, ruleset(t, ns)); diff != "" {
		t.Errorf("after both have left (-want +got):\n%s", diff)
	}
}

// The tables must survive networks that come and go at the same time.
func TestNetworksComeAndGo(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	var all sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			n := network(ns, id, firewall.NAT)
			for range 20 {
				if err := n.Ensure(); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				if err := n.Admit(port(id)); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				if faults := n.Faults(); len(faults) != 0 {
					t.Errorf("%s: %q", id, faults)
				}
				if err := n.Remove(); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	if left := ruleset(t, ns); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

func TestHeal(t *testing.T) {
	t.Parallel()
	hurts := map[string][]string{
		"flush ruleset": {"flush", "ruleset"},
		"delete table":  {"delete", "table", "bridge", "patchbay"},
		"flush table":   {"flush", "table", "inet", "patchbay"},
		"flush set":     {"flush", "set", "bridge", "patchbay", "ports"},
		"flush chain":   {"flush", "chain", "bridge", "patchbay", "port-ip4"},
	}
	for what, hurt := range hurts {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ns := netnstest.New(t)
			n := network(ns, "0123456789abcdef", firewall.NAT)
			must(t, n.Ensure())
			must(t, n.Admit(port("0")))
			want := ruleset(t, ns)

			ctx, stop := context.WithCancel(t.Context())
			watch, err := n.Watch()
			must(t, err)
			var healing sync.WaitGroup
			healing.Go(func() { watch.Heal(ctx) })
			nft(t, ns, hurt...)
			awaitHealed(t, ns, n)
			stop()
			healing.Wait()
			if diff := cmp.Diff(want, ruleset(t, ns)); diff != "" {
				t.Errorf("after healing (-want +got):\n%s", diff)
			}
		})
	}
}

// awaitHealed returns when none of the networks misses anything.
func awaitHealed(t *testing.T, ns *netns.Namespace, all ...*firewall.Network) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, n := range all {
		for len(n.Faults()) > 0 {
			select {
			case <-deadline:
				t.Fatalf("not healed:\n%s", ruleset(t, ns))
			case <-tick.C:
			}
		}
	}
}

// What all networks miss, one puts back, and the others add what is their own.
func TestOneNetworkMakesTheTables(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	ctx, stop := context.WithCancel(context.Background())
	var healing sync.WaitGroup
	defer healing.Wait()
	defer stop()
	var all []*firewall.Network
	for i := range 8 {
		n := network(ns, fmt.Sprintf("%d123456789abcdef", i), firewall.NAT)
		must(t, n.Ensure())
		watch, err := n.Watch()
		must(t, err)
		healing.Go(func() { watch.Heal(ctx) })
		all = append(all, n)
	}
	rules := strings.Count(nft(t, ns, "--handle", "list", "ruleset"), "# handle ")
	news, err := subscription.Open(ns, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	must(t, err)
	defer news.Close()
	nft(t, ns, "flush", "ruleset")
	awaitHealed(t, ns, all...)
	stop()
	healing.Wait()
	nft(t, ns, "add", "table", "inet", "last")
	made := 0
	for last := false; !last; {
		messages, err := news.Receive()
		must(t, err)
		for _, m := range messages {
			switch m.Header.Type & 0xff {
			case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_NEWCHAIN:
				made++
			case unix.NFT_MSG_NEWTABLE:
				last = bytes.Contains(m.Data, []byte("last\x00"))
			}
		}
	}
	if made == 0 || made > rules {
		t.Errorf("%d chains and rules were made, want no more than there are: %d", made, rules)
	}
}

// Processes of two releases share the tables: the later rules stay, whoever looks, and
// networks of both are served by them.
func TestLaterRulesStay(t *testing.T) {
	t.Parallel()
	rule := func(ns *netns.Namespace, seal string) {
		nft(t, ns, "flush", "chain", "inet", "patchbay", "from-nat")
		nft(t, ns, "add", "rule", "inet", "patchbay", "from-nat", "drop", "comment", `"`+seal+`"`)
	}
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		ns := netnstest.New(t)
		n, other := network(ns, "a", firewall.NAT), network(ns, "b", firewall.NAT)
		must(t, n.Ensure())
		rule(ns, "999999 0")
		want := nft(t, ns, "list", "chain", "inet", "patchbay", "from-nat")
		if faults := n.Faults(); len(faults) > 0 {
			t.Errorf("faults: %q, want none", faults)
		}
		must(t, n.Ensure())
		must(t, other.Ensure())
		must(t, other.Admit(port("1")))
		if faults := other.Faults(); len(faults) > 0 {
			t.Errorf("faults of another network: %q, want none", faults)
		}
		if diff := cmp.Diff(want, nft(t, ns, "list", "chain", "inet", "patchbay", "from-nat")); diff != "" {
			t.Errorf("rules of a later release (-want +got):\n%s", diff)
		}
	})
	t.Run("earlier", func(t *testing.T) {
		t.Parallel()
		ns := netnstest.New(t)
		n := network(ns, "a", firewall.NAT)
		must(t, n.Ensure())
		want := ruleset(t, ns)
		rule(ns, "0 ffffffff")
		if faults := n.Faults(); len(faults) == 0 {
			t.Error("no faults, want one of the chain")
		}
		must(t, n.Ensure())
		if diff := cmp.Diff(want, ruleset(t, ns)); diff != "" {
			t.Errorf("in place of rules of an earlier release (-want +got):\n%s", diff)
		}
	})
}

// A process is woken by what concerns its own network, else with many networks
// each change would wake all of their processes.
func TestOthersChangesWakeNobody(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	first, second := network(ns, "0123456789abcdef", firewall.NAT), network(ns, "0123456789abcde0", firewall.NAT)
	must(t, first.Ensure())
	watch, err := first.Watch()
	must(t, err)
	defer watch.Close()

	must(t, second.Ensure())
	must(t, second.Admit(port("1")))
	must(t, second.Publish(port("1").Interface, []firewall.Forward{{
		Protocol: resource.ProtocolTCP, Host: netip.MustParseAddrPort("0.0.0.0:80"), Target: netip.MustParseAddrPort("10.9.0.2:80"),
	}}))
	must(t, second.Revoke(port("1")))
	must(t, second.Unpublish(port("1").Interface))
	must(t, second.Remove())
	if watch.Pending() {
		t.Error("the first network's process is woken by what the second one has added and removed")
	}
	for what, args := range map[string][]string{
		"an element": {"flush", "set", "inet", "patchbay", "bridges"},
		"a rule":     {"flush", "chain", "inet", "patchbay", "from-nat"},
		"a table":    {"delete", "table", "bridge", "patchbay"},
	} {
		watch, err := first.Watch()
		must(t, err)
		nft(t, ns, args...)
		if !watch.Pending() {
			t.Errorf("%s of the network was removed: nothing is told of it", what)
		}
		watch.Close()
	}
}

// A process that is stopped while it makes the tables keeps nobody else from it for long: it has
// the lock of the namespace.
func TestEnsureBesideAStoppedProcess(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	holder := exec.Command("flock", "--no-fork", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()), "cat")
	in, err := holder.StdinPipe()
	must(t, err)
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	_, err = in.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(out, make([]byte, 1)) // it has the lock
	must(t, err)
	must(t, holder.Process.Signal(unix.SIGSTOP))

	var log bytes.Buffer
	var all []*firewall.Network
	for i := range 3 {
		c := firewall.Config{Network: fmt.Sprintf("0123456789abcde%d", i), Bridge: fmt.Sprintf("pb-0123456%d", i), Reach: firewall.NAT, Namespace: ns}
		if i == 0 {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		}
		all = append(all, firewall.New(c))
	}
	must(t, all[0].Ensure())
	if want := fmt.Sprintf("process %d (cat)", holder.Process.Pid); !strings.Contains(log.String(), want) {
		t.Errorf("logged: %q, want the holder named: %s", log.String(), want)
	}
	for _, n := range all[1:] {
		must(t, n.Ensure())
	}
	for i, n := range all {
		if faults := n.Faults(); len(faults) > 0 {
			t.Errorf("network %d: %v", i, faults)
		}
	}
}
