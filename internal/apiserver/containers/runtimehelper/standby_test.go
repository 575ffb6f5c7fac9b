package runtimehelper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"go.uber.org/goleak"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/resource"
)

// TestMain is also the main of a runtime helper, which only says hello.
func TestMain(m *testing.M) {
	if os.Getenv(rpc.ListenFDVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	l, err := rpc.InheritedListener()
	if err != nil {
		panic(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Log:      slog.New(slog.DiscardHandler),
		Register: func(s *connect.Server) { sandboxv1connect.RegisterSandboxServiceHandler(s, greeter{}) },
	})
	fmt.Fprintln(os.Stderr, server.Serve(l))
}

type greeter struct {
	sandboxv1connect.UnimplementedSandboxServiceHandler
}

func (greeter) Hello(context.Context, *sandboxv1.HelloRequest) (*sandboxv1.HelloResponse, error) {
	return &sandboxv1.HelloResponse{MinProtocol: 1, MaxProtocol: 1, Name: os.Getenv("PATCHBAY_SANDBOX_ID")}, nil
}

// world is programs with a runtime of its own.
type world struct {
	*Programs
	t      *testing.T
	plugin manifest.Plugin
}

// patience is a safety net: no machine is so busy that what does not hang takes as long.
const patience = 5 * time.Minute

func newWorld(t *testing.T, size int) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t}
	w.plugin = manifest.Plugin{Plugin: resource.Plugin{Name: "fake"}, Binary: filepath.Join(dir, "fake"), Standby: true}
	w.install()
	w.Programs = New(Config{
		Roots: layout.Roots{Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run")},
		Launch: func(c helper.Config) (*helper.Process, error) {
			c.Isolate = false // needs root
			return helper.Start(c)
		},
		ReadyTimeout: patience, GraceTimeout: patience, Standby: size, Log: slog.New(slog.DiscardHandler),
	})
	if err := os.MkdirAll(w.Roots.Sandboxes(), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// install puts the program in its place, as another file each time.
func (w *world) install() {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	// By another process: a program that a child of this one has open for writing, if
	// only between fork and exec, cannot be executed.
	fresh := w.plugin.Binary + ".new"
	if out, err := exec.Command("cp", self, fresh).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(fresh, w.plugin.Binary); err != nil {
		w.t.Fatal(err)
	}
}

// begin starts a helper as a container's start does, and ends it with the test.
func (w *world) begin(id string) Helper {
	w.t.Helper()
	defer w.Busy()()
	h, err := w.Start(w.t.Context(), id, w.plugin)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Process.Kill(); h.Client.Close() })
	if _, err := h.Client.Hello(w.t.Context(), &sandboxv1.HelloRequest{}); err != nil {
		w.t.Errorf("the helper of %s does not answer at its socket: %v", id, err)
	}
	return h
}

// waiting waits until so many helpers are on standby, and returns the first.
func (w *world) waiting(n int) spare {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		w.standby.mu.Lock()
		there, idle := w.standby.waiting, w.standby.filling == nil
		w.standby.mu.Unlock()
		if idle && len(there) == n {
			return there[0]
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%d helpers on standby, want %d", len(there), n)
		}
	}
}

func (w *world) directories() []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.Roots.Standby())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestStandby: the first start has helpers started for the next ones, which get them.
func TestStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	if h := w.begin("one"); h.Moved {
		t.Error("the first helper was on standby, before any was used")
	}
	spare := w.waiting(2)
	h := w.begin("two")
	if !h.Moved || !h.Ready || h.Process.PID() != spare.Process.PID() {
		t.Errorf("got %+v, want the helper on standby, %d", h, spare.Process.PID())
	}
	adopted, err := helper.Adopt(w.Roots.Sandbox("two"))
	if err != nil || adopted.PID() != h.Process.PID() {
		t.Errorf("another patchbayd finds %v, %v, want the helper", adopted, err)
	}
	next := w.waiting(2)
	if next.Process.PID() == spare.Process.PID() {
		t.Error("a helper was given away and is still on standby")
	}
	w.Close()
	<-next.Process.Done()
	if left := w.directories(); len(left) > 0 {
		t.Errorf("left of the helpers on standby: %v", left)
	}
	if w.begin("three").Moved {
		t.Error("a helper on standby after the end")
	}
}

// TestStandbyUnfit: a helper that is not what a new one would be is ended, not used.
func TestStandbyUnfit(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*world, spare){
		"another program is installed": func(w *world, _ spare) { w.install() },
		"no program is there any more, but another": func(w *world, _ spare) {
			old := w.plugin.Binary
			w.plugin.Binary += "-2"
			if err := os.Rename(old, w.plugin.Binary); err != nil {
				w.t.Fatal(err)
			}
		},
		"it has died":        func(_ *world, s spare) { s.Process.Kill() },
		"its place is taken": func(w *world, _ spare) { _ = os.MkdirAll(filepath.Join(w.Roots.Sandbox("two"), "x"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.begin("one")
			spare := w.waiting(1)
			spoil(w, spare)
			if h := w.begin("two"); h.Moved || h.Process.PID() == spare.Process.PID() {
				t.Errorf("got %+v, want another helper than %d", h, spare.Process.PID())
			}
			<-spare.Process.Done()
			w.waiting(1) // now it is another that waits
			if got := w.directories(); len(got) != 1 {
				t.Errorf("directories %v, want that of one helper", got)
			}
		})
	}
}

// TestNoStandby: who wants none gets none, and no runtime that cannot.
func TestNoStandby(t *testing.T) {
	t.Parallel()
	off := newWorld(t, 0)
	unable := newWorld(t, 1)
	unable.plugin.Standby = false
	for _, w := range []*world{off, unable} {
		w.begin("one")
		w.standby.fill() // at once
		if left := w.directories(); len(left) > 0 || len(w.standby.waiting) > 0 {
			t.Errorf("on standby: %v", left)
		}
	}
}

// TestDismissStandby: what an earlier patchbayd had on standby ends, alive or not.
func TestDismissStandby(t *testing.T) {
	t.Parallel()
	earlier := newWorld(t, 2)
	earlier.begin("one")
	spare := earlier.waiting(2)
	spare.Process.Kill()
	later := New(earlier.Config)
	defer later.Close()
	for _, name := range earlier.directories() {
		later.DismissStandby(name)
	}
	if left := earlier.directories(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for _, w := range earlier.standby.waiting {
		<-w.Process.Done()
	}
}

func TestFollows(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before, ours, theirs mounts
		want                 bool
	}{
		"nothing happened":           {mounts{"/": true}, mounts{"/": true}, mounts{"/": true, "its own": true}, true},
		"mounted, and there too":     {mounts{"/": true}, mounts{"/": true, "/a": true}, mounts{"/": true, "/a": true}, true},
		"mounted, but not there":     {mounts{"/": true}, mounts{"/": true, "/a": true}, mounts{"/": true}, false},
		"unmounted, and there too":   {mounts{"/": true, "/a": true}, mounts{"/": true}, mounts{"/": true}, true},
		"unmounted, but still there": {mounts{"/": true, "/a": true}, mounts{"/": true}, mounts{"/": true, "/a": true}, false},
		"gone there alone, long ago": {mounts{"/": true, "/a": true}, mounts{"/": true, "/a": true}, mounts{"/": true}, true},
	} {
		if got := follows(tt.before, tt.ours, tt.theirs); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
