//go:build integration

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// TestContract runs the suite that every plugin has to pass, with the real
// program in a network namespace of the test's own. It needs root:
//
//	go test -tags integration .
func TestContract(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "toy")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, variant := range []string{"flat", "own"} {
		t.Run(variant, func(t *testing.T) { testContract(t, binary, variant) })
	}
}

func testContract(t *testing.T, binary, variant string) {
	host := newHost(t)
	c := plugintest.Config{
		Binary:  binary,
		Variant: variant,
		Start: func(t *testing.T, c *exec.Cmd) (err error) {
			inside(t, host, func() { err = c.Start() })
			return err
		},
		Residue: func(t *testing.T, networkID string) (left []string) {
			inside(t, host, func() {
				links, err := netlink.LinkList()
				if err != nil {
					t.Error(err)
				}
				for _, l := range links {
					if l.Attrs().Name == name("toyb", networkID) || strings.HasPrefix(l.Attrs().Name, "toyp") {
						left = append(left, l.Attrs().Name)
					}
				}
			})
			return left
		},
	}
	if variant == "own" {
		c.NetworkNamespace = func(t *testing.T) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), newHost(t)) }
		c.Interface = func(t *testing.T, namespace, name string) (found *net.Interface) {
			sandbox, err := netns.GetFromPath(namespace)
			if err != nil {
				t.Fatal(err)
			}
			defer sandbox.Close()
			inside(t, sandbox, func() { found, _ = net.InterfaceByName(name) })
			return found
		}
	}
	plugintest.Run(t, c)
}

// newHost makes a network namespace that stands for the host.
func newHost(t *testing.T) netns.NsHandle {
	t.Helper()
	var made netns.NsHandle
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		var err error
		made, err = netns.New()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("network namespace: %v; this test needs root", err)
	}
	t.Cleanup(func() { made.Close() })
	return made
}

// inside calls f on a thread that is inside of a network namespace.
func inside(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(ns)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
