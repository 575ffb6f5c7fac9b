//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// bucket is a token bucket as tc(8) shows it.
type bucket struct {
	Kind    string `json:"kind"`
	Device  string `json:"dev"`
	Bytes   int    `json:"bytes"` // that it let through
	Options struct {
		Rate int `json:"rate"` // bytes per second
	} `json:"options"`
}

// buckets returns the token buckets of the host by their rates in bits per second.
func (h *host) buckets() map[int]bucket {
	h.t.Helper()
	var all []bucket
	out := h.must(h.command(h.ns, "tc", "-s", "-j", "qdisc", "show"))
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	found := map[int]bucket{}
	for _, b := range all {
		if b.Kind == "tbf" {
			found[8*b.Options.Rate] = b
		}
	}
	return found
}

// checkRates checks that a ping passes both buckets of a container, and that they
// have its rates.
func (h *host) checkRates(container, network string, in, out resource.BitRate, address string) {
	h.t.Helper()
	h.patchbay("exec", "--user", "root", container, "ping", "-c", "1", "-W", "60", "-s", "1000", address)
	found := h.buckets()
	a, b := found[int(in)], found[int(out)]
	if a.Bytes < 1000 || b.Bytes < 1000 || a.Device == b.Device {
		h.t.Errorf("%s: want a ping to pass a bucket of %v and another of %v, have %+v", container, in, out, found)
	}
	if a := h.attachment(container, network); a.RateIn != in || a.RateOut != out {
		h.t.Errorf("%s: attachment shows %v and %v", container, a.RateIn, a.RateOut)
	}
}

func (h *host) wantNoBuckets() {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		if found := h.buckets(); len(found) > 0 {
			return fmt.Errorf("buckets are left: %+v", found)
		}
		return nil
	})
}

// Rates are held in both directions, and nothing of them is left, however a
// container ends.
func TestRates(t *testing.T) {
	onEachRuntime(t, testRates)
}

func testRates(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.runAsleep("--name", "slow", "--network", "web,rate-in=2mbit,rate-out=0.3gbit")
	gateway := h.network("web").Status.IPv4Gateway.String()
	h.checkRates("slow", "web", 2e6, 3e8, gateway)
	if !h.dear() {
		h.patchbay("stop", "-t", "0", "slow")
		h.wantNoBuckets()
		h.patchbay("start", "slow")
		h.checkRates("slow", "web", 2e6, 3e8, gateway)
	}
	kill(t, h.container("slow").Status.HelperPID)
	h.wantNoBuckets()
}

// A plugin whose interfaces the runtime cannot bound refuses rates before anything is made.
func TestRatesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	for _, runtime := range runtimes {
		r := h.try("run", "--runtime", runtime, "--network", "lan,rate-in=1mbit", "--network", "user,rate-out=1mbit", "box", "true")
		for _, line := range []string{
			"network lan: rate-in: plugin macvlan/bridge makes interfaces by strategy macvlan, on which runtime " + runtime + " cannot hold a rate",
			"network user: rate-out: plugin usermode/nat makes interfaces by strategy tap-stream, on which runtime " + runtime + " cannot hold a rate",
		} {
			if !strings.Contains(r.stderr, line) {
				t.Errorf("want %q: %s", line, r)
			}
		}
		if r.code == 0 || len(h.containers()) > 0 {
			t.Errorf("want nothing made: %s", r)
		}
	}
}
