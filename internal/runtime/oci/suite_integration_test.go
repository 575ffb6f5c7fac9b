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
			c := by(program)
			c.RaisesOpenFiles = program == "runc" && raisesOpenFiles(t)
			sandboxtest.Run(t, c)
		})
	}
}

// raisesOpenFiles reports whether runc is older than 1.1.13: what "runc exec" sets may be
// overruled then by the Go runtime of what it starts (opencontainers/runc#4195).
func raisesOpenFiles(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("runc", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(out), "runc version %d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatalf("runc --version: %v\n%s", err, out)
	}
	return major == 1 && (minor < 1 || minor == 1 && patch < 13)
}
