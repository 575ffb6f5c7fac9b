//go:build integration

package netns_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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

// The lock of a namespace is nobody else's while one has it, and who waits for it goes on without.
func TestAlone(t *testing.T) {
	t.Parallel()
	ns, other := open(t, netns.New), open(t, netns.New)
	again := open(t, func() (*netns.Namespace, error) { return netns.OpenPath(ns.Path()) })
	unlock, err := netns.Alone(ns)
	if err != nil || unlock == nil {
		t.Fatalf("a lock that nobody has: held %t, error %v", unlock != nil, err)
	}
	if elsewhere, err := netns.Alone(other); err != nil || elsewhere == nil {
		t.Errorf("that of another namespace: held %t, error %v", elsewhere != nil, err)
	} else {
		elsewhere()
	}
	got := make(chan bool, 4)
	for range cap(got) {
		go func() {
			unlock, err := netns.Alone(again)
			if err != nil {
				t.Error(err)
			}
			got <- unlock != nil
		}()
	}
	for range cap(got) {
		if unlock != nil {
			waiting(t, cap(got))
			unlock()
			unlock = nil
		}
		if <-got {
			t.Error("who has waited has the lock")
		}
	}
	if unlock, err = netns.Alone(again); err != nil || unlock == nil {
		t.Fatalf("afterwards: held %t, error %v", unlock != nil, err)
	}
	unlock()
}

// waiting returns when that many locks of files are waited for by this process (proc_locks(5)).
func waiting(t *testing.T, want int) {
	t.Helper()
	for {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(locks)) {
			fields := strings.Fields(line)
			if len(fields) > 5 && fields[1] == "->" && fields[5] == strconv.Itoa(os.Getpid()) {
				n++
			}
		}
		if n >= want {
			return
		}
		runtime.Gosched()
	}
}
