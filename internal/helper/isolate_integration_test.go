//go:build integration

package helper

import (
	"os"
	"strconv"
	"testing"
)

// TestIsolatedHelperHasItsOwnNamespaces needs root.
func TestIsolatedHelperHasItsOwnNamespaces(t *testing.T) {
	t.Parallel()
	c := config(t, "serves")
	c.Isolate = true
	p := start(t, c)
	if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"pid", "mnt"} {
		theirs, err := os.Readlink("/proc/" + strconv.Itoa(p.PID()) + "/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if ours, err := os.Readlink("/proc/self/ns/" + kind); err != nil || ours == theirs {
			t.Errorf("%s namespace %s, %v, want another than %s", kind, theirs, err, ours)
		}
	}
}
