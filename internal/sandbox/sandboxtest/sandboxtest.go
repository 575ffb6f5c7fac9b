//go:build integration

// Package sandboxtest is the contract suite for runtimes: what a helper owes to
// patchbayd and to the users of containers, whatever it makes sandboxes of.
//
// A sandbox may be dear to make, as a virtual machine is. So the suite is a few
// scenes, each in one sandbox, with as many checks in it as can share that.
package sandboxtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Config describes a runtime. All fields but Environment are required.
type Config struct {
	// Name is what the helper says in Hello.
	Name string
	// Binary is the runtime's program.
	Binary string
	// Environment is what it gets beside what patchbayd gives to all helpers.
	Environment []string
	// Layer is a directory that Layer has filled.
	Layer string
	// Strategies are those that the runtime implements, in order.
	Strategies []string
	// Dear says that a sandbox takes seconds to make: of checks that need one of
	// their own, only those are made that nothing else shows.
	Dear bool
	// RaisesOpenFiles says that the soft limit of a further process's open files may be
	// the hard one, through a fault of a program that the runtime executes.
	RaisesOpenFiles bool
}

// Run checks the runtime against its contract.
func Run(t *testing.T, c Config) {
	t.Run("empty", func(t *testing.T) { t.Parallel(); testEmpty(t, c) })
	t.Run("alive", func(t *testing.T) { t.Parallel(); testAlive(t, c) })
	t.Run("to its end", func(t *testing.T) { t.Parallel(); testEnd(t, c) })
	t.Run("kept", func(t *testing.T) { t.Parallel(); testKept(t, c) })
	t.Run("terminal", func(t *testing.T) { t.Parallel(); testTerminal(t, c) })
	t.Run("refused", func(t *testing.T) { t.Parallel(); testRefused(t, c) })
	t.Run("shutdown", func(t *testing.T) { t.Parallel(); testShutdown(t, c) })
}

// Layer fills a directory with a root file system made of busybox.
func Layer(dir string) error {
	for _, d := range []string{"bin", "etc", "tmp", "root", "data", "srv/user"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("busybox-static is needed: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), box, 0o755); err != nil {
		return err
	}
	list, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		// Absolute links, as in the images of distributions.
		if err := os.Symlink("/bin/busybox", filepath.Join(dir, "bin", name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	files := map[string]string{
		"etc/passwd":      "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/srv/user:/bin/sh\n",
		"etc/group":       "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
		"etc/plain":       "not a program\n",
		"data/from-image": "content\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"bin/noformat": "echo hi\n",
		"bin/foreign":  "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\x26\x90", // alpha: elf(5)
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "data/from-image"), 1000, 1000)
}
