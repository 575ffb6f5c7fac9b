//go:build integration

package integration

import (
	"fmt"
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
