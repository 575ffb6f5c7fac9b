//go:build integration

package bridge

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
)

// party is a container with its addresses as they are in frames.
type party struct {
	box
	hostile.Party
	wire *netnstest.Wire
}

func (s *served) party(t *testing.T, key string) party {
	t.Helper()
	b := s.plug(t, netnstest.New(t), key, "eth0")
	return party{box: b, Party: hostile.NewParty(b.port.Attachment), wire: netnstest.OpenWire(t, b.Namespace, b.iface)}
}

// dropRule deletes the rule of a chain of the bridge table that begins like that
// where nft lists it.
func dropRule(t *testing.T, host *netns.Namespace, chain, begins string) {
	t.Helper()
	var out []byte
	netnstest.Do(t, host, func() (err error) {
		out, err = exec.Command("nft", "-a", "list", "chain", "bridge", "patchbay", chain).Output()
		return err
	})
	for line := range strings.Lines(string(out)) {
		text, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle ")
		exact := begins != "drop" || text == "drop"
		if ok && exact && strings.HasPrefix(text, begins) {
			nft(t, host, "delete", "rule", "bridge", "patchbay", chain, "handle", handle)
			return
		}
	}
	t.Fatalf("chain %s has no rule %q:\n%s", chain, begins, out)
}

// A container that makes its frames by itself reaches no neighbour with those
// that it has no right to; and it is the named rules that see to it: without
// them the frames arrive.
func TestHostileContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, v := s.party(t, "a/0"), s.party(t, "v/0")
	s.mu.Lock()
	s.unwatch() // it would put the rules back
	s.mu.Unlock()
	// Where br_netfilter is on, it checks and changes packets beyond these rules.
	netnstest.Do(t, w.host, func() error {
		return exec.Command("sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo 0 >$f; done").Run()
	})
	marks := 0
	arrives := func(t *testing.T, x hostile.Attack) bool {
		t.Helper()
		for _, f := range x.Frames {
			if err := a.wire.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		// Frames keep their order: what is not there before the mark was dropped.
		marks++
		mark := hostile.Mark(a.Party, v.Party, fmt.Sprintf("mark %d", marks))
		if err := a.wire.Send(mark); err != nil {
			t.Fatal(err)
		}
		arrived := false
		marked, err := v.wire.Await(func(frame []byte) bool {
			arrived = arrived || x.SeenIn(frame)
			return bytes.Equal(frame, mark)
		}, soon)
		if err != nil || !marked {
			t.Fatalf("an honest frame does not arrive, error %v", err)
		}
		return arrived
	}
	// heal has the bridge learn again where v is.
	heal := func(t *testing.T) {
		t.Helper()
		here := hostile.Here(v.Party)
		if err := v.wire.Send(here); err != nil {
			t.Fatal(err)
		}
		if ok, err := a.wire.Await(func(frame []byte) bool { return bytes.Equal(frame, here) }, soon); err != nil || !ok {
			t.Fatalf("v is not heard, error %v", err)
		}
	}
	for name, frame := range hostile.Honest(a.Party, v.Party) {
		t.Run("honest/"+name, func(t *testing.T) {
			if !arrives(t, hostile.Attack{Frames: [][]byte{frame}}) {
				t.Error("does not arrive")
			}
		})
	}
	refused := hostile.Attacks(a.Party, v.Party)
	maps.Copy(refused, hostile.Needless(a.Party, v.Party))
	for name, x := range refused {
		t.Run(name, func(t *testing.T) {
			if arrives(t, x) {
				t.Error("arrives")
			}
			for _, r := range x.Rules {
				dropRule(t, w.host, r[0], r[1])
			}
			if !arrives(t, x) {
				t.Errorf("does not arrive without the rules %q: the test proves nothing", x.Rules)
			}
			if err := s.filter.Ensure(); err != nil {
				t.Fatal(err)
			}
			heal(t)
		})
	}
}
