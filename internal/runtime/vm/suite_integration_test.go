//go:build integration

package vm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"patchbay.dev/patchbay/internal/runtime/vm"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest"
)

// The contract of runtimes, by virtual machines: each of those costs seconds where
// they are emulated.
func TestSuite(t *testing.T) {
	t.Parallel()
	c, err := prepare(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, c)
}

// prepare builds the runtime and its agent, takes the kernel of the tests, and
// fills a root file system.
func prepare(dir string) (sandboxtest.Config, error) {
	if os.Geteuid() != 0 {
		return sandboxtest.Config{}, errors.New("these tests need root")
	}
	c := sandboxtest.Config{
		Name: "vm", Binary: filepath.Join(dir, "patchbay-runtime-vm"), Layer: filepath.Join(dir, "layer"), Strategies: vm.Strategies(), Dear: true,
		Environment: []string{sandbox.CacheDirVariable + "=" + filepath.Join(dir, "cache"), site.KernelDirVariable + "=" + filepath.Join(dir, "kernel")},
	}
	for _, program := range []string{"patchbay-runtime-vm", site.AgentName} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, program), "patchbay.dev/patchbay/cmd/"+program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return c, fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	images, err := filepath.Glob("../../../dist/kernel/boot/vmlinuz-*")
	if err != nil || len(images) != 1 {
		return c, fmt.Errorf("kernels %v, %w: run \"make deps\" first", images, err)
	}
	if _, err := kernel.Set(filepath.Join(dir, "kernel"), images[0], ""); err != nil {
		return c, err
	}
	// One boot for all of the suite: its machines go on from there.
	warm := exec.Command(c.Binary, "kernel", "warm", strconv.FormatInt(sandboxtest.MemoryBytes, 10), strconv.Itoa(sandboxtest.NanoCPUs))
	warm.Env = append(os.Environ(), c.Environment...)
	warm.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS} // as patchbayd does
	if out, err := warm.CombinedOutput(); err != nil || strings.Contains(string(out), `"fault"`) {
		return c, fmt.Errorf("template: %w\n%s", err, out)
	}
	return c, sandboxtest.Layer(c.Layer)
}
