// Package plugintest is the contract suite that every network plugin passes: it
// starts the plugin's program as patchbayd does, speaks to it over the wire,
// kills it, starts it again, and checks what the contract promises.
//
// Call Run from a test of the plugin:
//
//	func TestContract(t *testing.T) {
//		plugintest.Run(t, plugintest.Config{Binary: build(t), Variant: "nat"})
//	}
//
// A plugin that changes the host is to be started inside a network namespace of
// the test's own, see Config.Start.
package plugintest

import (
	"net"
	"os/exec"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// Config is what the suite has to know of a plugin.
type Config struct {
	// Binary is the path of the plugin's program.
	Binary string
	// Codec is that of the plugin's manifest; empty: binary messages.
	Codec resource.Codec
	// Env is added to the program's environment.
	Env []string
	// Variant and Options are those of the networks that the suite makes. The
	// suite chooses ids, names, subnets and MTUs.
	Variant string
	Options map[string]string
	// Start starts the prepared program, for example inside a network namespace;
	// nil: where the test is.
	Start func(t *testing.T, c *exec.Cmd) error
	// NetworkNamespace makes the network namespace of a sandbox and returns a
	// path by which the plugin can open it; nil: sandboxes have none.
	NetworkNamespace func(t *testing.T) string
	// Interface looks for an interface in a namespace that NetworkNamespace has made;
	// nil where it is not there. The field is for networks that make interfaces
	// themselves (strategy "delegated"); nil for others.
	Interface func(t *testing.T, namespace, name string) *net.Interface
	// Residue lists what a network has on the host, one line each; nil: that is
	// not looked at.
	Residue func(t *testing.T, networkID string) []string
	// Layer2 tells that the networks hand out no addresses.
	Layer2 bool
	// Exclusive tells that a network has room for one held lease.
	Exclusive bool
	// FixedSubnets tells that the networks refuse subnets given by the user.
	FixedSubnets bool
}

// Run runs the suite.
func Run(t *testing.T, c Config) {
	t.Helper()
	for _, test := range []struct {
		name    string
		needsIP bool // the plugin hands out addresses
		needsIn bool // and takes subnets
		run     func(*testing.T, Config)
	}{
		{"Hello", false, false, testHello},
		{"NotStarted", false, false, testNotStarted},
		{"StartIsIdempotent", false, false, testStartIsIdempotent},
		{"RefusesWhatItDoesNotKnow", false, false, testRefusesUnknown},
		{"RefusesSubnets", true, true, testRefusesSubnets},
		{"AvoidsUsedPrefixes", true, true, testAvoidsUsed},
		{"AllocateIsIdempotent", false, false, testAllocateIsIdempotent},
		{"AllocateAtOnce", false, false, testAllocateAtOnce},
		{"HoldAndLose", false, false, testHoldAndLose},
		{"HoldUnknown", false, false, testHoldUnknown},
		{"KilledAndHeldAgain", false, false, testKilledAndHeldAgain},
		{"KilledAndNotHeldAgain", false, false, testKilledAndNotHeldAgain},
		{"Terminated", false, false, testTerminated},
		{"StaticConflicts", true, false, testStaticConflicts},
		{"StaticUnfit", true, false, testStaticUnfit},
		{"MTU", false, false, testMTU},
		{"Reservations", true, false, testReservations},
		{"Exhausted", true, true, testExhausted},
		{"Forget", true, false, testForget},
		{"Lookup", false, false, testLookup},
		{"Watch", false, false, testWatch},
		{"WatchTellsWhatIsNew", false, false, testWatchTellsWhatIsNew},
		{"MakesInterfaces", false, false, testMakesInterfaces},
		{"StopLeavesNothing", false, false, testStopLeavesNothing},
		{"StopAfterKill", false, false, testStopAfterKill},
	} {
		if test.needsIP && c.Layer2 || test.needsIn && c.FixedSubnets {
			continue
		}
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}
