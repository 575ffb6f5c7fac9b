//go:build integration

package integration

import (
	"os"
	"os/exec"
	"testing"
)

// The example for plugin authors passes the contract suite by the command that
// its text gives, in its own module.
func TestToyPluginContract(t *testing.T) {
	t.Parallel()
	test := exec.Command("go", "test", "-count=1", "-tags", "integration", ".")
	test.Dir = "../toyplugin"
	test.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
