//go:build integration

package netns_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/netns"
)

// where names the network namespace of the calling thread.
func where(t *testing.T) string {
	t.Helper()
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func open(t *testing.T, f func() (*netns.Namespace, error)) *netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make network namespaces")
	}
	ns, err := f()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func TestDoRunsInsideAndComesBack(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home := where(t)
	ns := open(t, netns.New)
	again := open(t, func() (*netns.Namespace, error) { return netns.OpenPath(ns.Path()) })
	if got := where(t); got != home {
		t.Errorf("New left the thread in %s", got)
	}
	var inside, second string
	err := errors.Join(
		ns.Do(func() error { inside = where(t); return nil }),
		again.Do(func() error { second = where(t); return nil }))
	if err != nil || inside == home || inside != second {
		t.Errorf("inside %s, opened again %s, home %s, error %v", inside, second, home, err)
	}
	want := errors.New("mine")
	if err := ns.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("error = %v", err)
	}
	// A thread taken over by the test framework does not hang the caller.
	if err := ns.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("no error after Goexit")
	}
	if err := errors.Join(again.Close(), again.Close()); err != nil {
		t.Errorf("close twice: %v", err)
	}
}

// No thread may stay behind in a foreign namespace.
func TestThreadsComeBack(t *testing.T) {
	home := where(t)
	ns := open(t, netns.New)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := ns.Do(func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ns.Close()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		if link, err := os.Readlink(task); err == nil && link != home {
			t.Errorf("%s is in %s, want %s", task, link, home)
		}
	}
}

func TestNewIsEmpty(t *testing.T) {
	t.Parallel()
	ns := open(t, netns.New)
	err := ns.Do(func() error {
		all, err := net.Interfaces()
		if err == nil && (len(all) != 1 || all[0].Flags&net.FlagUp != 0) {
			t.Errorf("interfaces %+v, want a loopback that is down", all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenPathErrors(t *testing.T) {
	t.Parallel()
	if _, err := netns.OpenPath("/proc/self/ns/none"); !errdefs.IsNotFound(err) {
		t.Errorf("missing: %v", err)
	}
	for _, path := range []string{"/proc/self/ns/mnt", "/dev/null"} {
		_, err := netns.OpenPath(path)
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	current, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := current.Close(); err != nil {
		t.Error(err)
	}
}
