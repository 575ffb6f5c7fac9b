//go:build integration

package netns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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

// patient is a context that counts how often somebody waits for its end.
type patient struct {
	context.Context
	waits chan<- struct{}
}

func (p patient) Done() <-chan struct{} {
	select {
	case p.waits <- struct{}{}:
	default:
	}
	return p.Context.Done()
}

// The lock of a namespace is nobody else's while one has it, and who waits for it goes on without.
func TestAlone(t *testing.T) {
	t.Parallel()
	ns, other := open(t, netns.New), open(t, netns.New)
	again := open(t, func() (*netns.Namespace, error) { return netns.OpenPath(ns.Path()) })
	unlock, err := netns.Alone(t.Context(), ns)
	if err != nil || unlock == nil {
		t.Fatalf("a lock that nobody has: held %t, error %v", unlock != nil, err)
	}
	if elsewhere, err := netns.Alone(t.Context(), other); err != nil || elsewhere == nil {
		t.Errorf("that of another namespace: held %t, error %v", elsewhere != nil, err)
	} else {
		elsewhere()
	}
	const all = 4
	got := make(chan bool, all)
	for range all {
		waits := make(chan struct{}, 1)
		go func() {
			unlock, err := netns.Alone(patient{t.Context(), waits}, again)
			if err != nil {
				t.Error(err)
			}
			got <- unlock != nil
		}()
		<-waits
	}
	unlock()
	for range all {
		if <-got {
			t.Error("who has waited has the lock")
		}
	}
	if unlock, err = netns.Alone(t.Context(), again); err != nil || unlock == nil {
		t.Fatalf("afterwards: held %t, error %v", unlock != nil, err)
	}
	unlock()
}

// Nobody waits for ever for a lock whose holder stands still, and all are told who that is.
func TestAloneBesideAStoppedHolder(t *testing.T) {
	t.Parallel()
	ns := open(t, netns.New)
	unlock, err := netns.Alone(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	again, err := netns.Alone(ctx, ns)
	if again != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("held %t, error %v, want that of the deadline, naming process %d", again != nil, err, os.Getpid())
	}
}
