//go:build integration

package oci_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/sandbox/sandboxtest"
	"patchbay.dev/patchbay/resource"
)

// The program under test and a root file system, made once.
var config sandboxtest.Config

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/tmp", "pbo")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("these tests need root")
	}
	config = sandboxtest.Config{
		Name: "oci", Binary: filepath.Join(dir, "patchbay-runtime-oci"), Layer: filepath.Join(dir, "layer"),
		Strategies: []string{resource.StrategyBridgePort, resource.StrategyMacvlan, resource.StrategyTapStream, resource.StrategyHostDevice, resource.StrategyDelegated},
	}
	build := exec.Command("go", "build", "-o", config.Binary, "patchbay.dev/patchbay/cmd/patchbay-runtime-oci")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return sandboxtest.Layer(config.Layer)
}

// by is the runtime with one of the programs that it can use.
func by(program string, environment ...string) sandboxtest.Config {
	c := config
	c.Environment = append([]string{"PATCHBAY_OCI_RUNTIME=" + program}, environment...)
	return c
}

// The contract, by either program.
func TestSuite(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"crun", "runc"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Run(t, by(program))
		})
	}
}
