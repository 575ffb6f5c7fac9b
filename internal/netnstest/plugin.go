//go:build integration

package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/netns"
)

// Build compiles one of the module's programs, named by its folder below cmd,
// and returns the path of the binary.
func Build(t testing.TB, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	cmd := exec.Command("go", "build", "-o", path, "patchbay.dev/patchbay/cmd/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
	return path
}

// Starter returns a function that starts programs inside ns.
func Starter(ns *netns.Namespace) func(*testing.T, *exec.Cmd) error {
	return func(_ *testing.T, c *exec.Cmd) error { return ns.Do(c.Start) }
}

// Path is a path to ns that other processes can open for as long as this one
// has it open.
func Path(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }
