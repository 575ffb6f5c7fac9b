package initproc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The command gets the environment that init was to give it, with a number of
// processors of its own or without.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{
		{"PATH=/bin", "GOMAXPROCS=3", "A=GOMAXPROCS=4"},
		{"PATH=/bin"},
	} {
		inits := Environment(env)
		if inits[0] != "GOMAXPROCS=1" {
			t.Errorf("init gets %q, want one processor first", inits)
		}
		for _, entry := range inits[1:] {
			if entry == "GOMAXPROCS=3" {
				t.Errorf("init gets %q, with the command's processors", inits)
			}
		}
		if diff := cmp.Diff(env, commandEnvironment(inits)); diff != "" {
			t.Errorf("command (-want +got):\n%s", diff)
		}
	}
}
