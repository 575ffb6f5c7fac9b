package containers_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/resource"
)

func TestRunToTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "exit", "3")
	if s := w.status(t, "web"); s.State != resource.ContainerCreated {
		t.Errorf("before the start: %+v", s)
	}
	before := w.files(t)
	started, err := w.service.Start(context.Background(), "web", true)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(w.roots.Sandbox(id), "stdio.sock"); started.StdioSocket != want || !slices.Equal(started.Warnings, []string{"careful"}) {
		t.Errorf("got %+v, want the socket %s and a warning", started, want)
	}
	if got, want := w.wait(t, "web"), (resource.ContainerExit{Code: 3, Message: "so it ended"}); got != want {
		t.Errorf("wait: %+v, want %+v", got, want)
	}
	s := w.status(t, "web")
	if s.State != resource.ContainerStopped || s.ExitCode != 3 || s.ExitedAt.IsZero() || s.StartedAt.IsZero() || s.PID != 0 {
		t.Errorf("after the end: %+v", s)
	}
	w.settle(t)
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("still held: %v", held)
	}
	want := append(before, "/state/containers/"+id+"/exit.json", "/state/containers/"+id+"/log")
	if diff := cmp.Diff(sorted(want), sorted(w.files(t))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	var lines []string
	err = w.service.Logs(context.Background(), "web", resource.LogQuery{Tail: -1, Follow: true}, func(e resource.LogEntry) error {
		lines = append(lines, string(e.Data))
		return nil
	})
	if err != nil || len(lines) != 1 || lines[0] != "hello from web\n" {
		t.Errorf("logs: %q, %v", lines, err)
	}
}

func TestErrandOfARuntimeIsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	said := filepath.Join(t.TempDir(), "said")
	w.create(t, "web", "exit", "0", "errand", said)
	if _, err := w.service.Start(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the errand is run", func() bool { _, err := os.Stat(said); return err == nil })
	if got, err := os.ReadFile(said); err != nil || string(got) != w.roots.Cache() {
		t.Errorf("it was told of the cache %q, %v, want %s", got, err, w.roots.Cache())
	}
	w.wait(t, "web")
}

func TestStatusWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	s := w.status(t, "web")
	if s.State != resource.ContainerRunning || s.PID == 0 || s.HelperPID == 0 || s.StartedAt.IsZero() || len(s.Attachments) != 2 {
		t.Errorf("status: %+v", s)
	}
	if _, err := w.service.Start(context.Background(), "web", false); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "already running") {
		t.Errorf("second start: %v", err)
	}
}

// The sandbox gets all that it ever needs.
func TestBootstrapRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.images.run = resource.ImageRunConfiguration{Volumes: []string{"/data"}}
	w.networks.dns = resource.DNSConfiguration{Search: []string{"lan"}}
	id := w.createFrom(t, "web", resource.ContainerTemplate{
		Image: "box", Command: []string{"run"}, Networks: on("a"), ReadOnly: true, Init: true,
		CapabilitiesAdd: []string{"net_admin"}, CapabilitiesDrop: []string{"ALL"},
		Mounts: []resource.Mount{{Type: resource.MountBind, Source: "/", Target: "/host/", ReadOnly: true}},
	})
	w.start(t, "web")
	data, err := os.ReadFile(filepath.Join(w.roots.Sandbox(id), "request.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r sandboxv1.BootstrapRequest
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	own := w.roots.Container(id)
	checks := map[string]struct{ got, want any }{
		"id":       {r.GetId(), id},
		"hostname": {r.GetHostname(), id[:12]},
		"lower":    {r.GetRootFilesystem().GetLowerDirectories(), []string{"/layers/2", "/layers/1"}},
		"upper":    {r.GetRootFilesystem().GetUpperDirectory(), own + "/upper"},
		"work":     {r.GetRootFilesystem().GetWorkDirectory(), own + "/work"},
		"readonly": {r.GetRootFilesystem().GetReadOnly(), true},
		"init":     {r.GetInit(), true},
		"log":      {r.GetLogPath(), w.roots.ContainerLog(id)},
		"add":      {r.GetCapabilitiesAdd(), []string{"CAP_NET_ADMIN"}},
		"drop":     {r.GetCapabilitiesDrop(), []string{"ALL"}},
		"bind":     {r.GetMounts()[0].GetTarget(), "/host"},
		"volume":   {r.GetMounts()[1].GetSource(), own + "/volumes/1"},
		"key":      {r.GetAttachments()[0].GetLease().GetKey(), id + "/eth0"},
		"ifname":   {r.GetAttachments()[0].GetAttachment().GetInterfaceName(), "eth0"},
		"name":     {r.GetAttachments()[0].GetAttachment().GetHostname(), id[:12]},
	}
	for name, c := range checks {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if info, err := os.Stat(own + "/volumes/1"); err != nil || !info.IsDir() {
		t.Errorf("directory of the volume: %v", err)
	}
}

// Wherever a start fails, nothing of it is left, and the error says why in its
// own words.
func TestFailedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args    []string
		runtime string
		arrange func(*world)
		kind    error
		text    string
	}{
		"layers are gone":         {arrange: func(w *world) { w.images.fail = errors.New("layer sha256:1 is gone") }, kind: errdefs.ErrInternal, text: "container web: layer sha256:1 is gone"},
		"a network refuses":       {arrange: func(w *world) { w.networks.fail["b"] = exhausted }, kind: errdefs.ErrResourceExhausted, text: "network b: no address left"},
		"binary is missing":       {runtime: "missing", kind: errdefs.ErrFailedPrecondition, text: "runtime missing"},
		"helper dies":             {runtime: "dies", kind: errdefs.ErrUnavailable, text: "the engine is missing"},
		"helper hangs":            {runtime: "hangs", arrange: func(w *world) { w.config.ReadyTimeout = 300 * time.Millisecond }, kind: errdefs.ErrUnavailable, text: "did not answer in time"},
		"helper is of the future": {runtime: "future", kind: errdefs.ErrFailedPrecondition, text: "speaks protocol 7 to 9, want 1 to 1"},
		"bootstrap refuses":       {args: []string{"bootstrap-error"}, kind: errdefs.ErrNotFound, text: `exec: "bootstrap-error": not in the image`},
		"bootstrap is cut off":    {args: []string{"bootstrap-unavailable"}, kind: errdefs.ErrUnavailable, text: "network a: the plugin went away"},
		"bootstrap dies":          {args: []string{"bootstrap-death"}, kind: errdefs.ErrUnavailable, text: "out of luck"},
		"bootstrap hangs":         {args: []string{"bootstrap-hang"}, arrange: func(w *world) { w.config.StartTimeout = 300 * time.Millisecond }, kind: errdefs.ErrUnavailable, text: "did not answer in time"},
		"start refuses":           {args: []string{"start-error"}, kind: errdefs.ErrPermissionDenied, text: `exec: "start-error": not executable`},
		"start hangs":             {args: []string{"start-hang"}, arrange: func(w *world) { w.config.StartTimeout = 300 * time.Millisecond }, kind: errdefs.ErrUnavailable, text: "did not answer in time"},
	} {
		for _, autoRemove := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if tc.arrange != nil {
					tc.arrange(w)
					w.restart(t)
				}
				args := tc.args
				if args == nil {
					args = []string{"run"}
				}
				w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: args, Networks: on("a", "b"), Runtime: tc.runtime, AutoRemove: autoRemove})
				before := w.files(t)
				_, err := w.service.Start(context.Background(), "web", false)
				if !errors.Is(err, tc.kind) || err != nil && !strings.Contains(err.Error(), tc.text) {
					t.Errorf("error %v, want %v and %q", err, tc.kind, tc.text)
				}
				if err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("error of several lines: %v", err)
				}
				checkUndone(t, w, before)
			})
		}
	}
}

var exhausted = &kinded{"network b: no address left", errdefs.ErrResourceExhausted}

type kinded struct {
	text string
	kind error
}

func (k *kinded) Error() string { return k.text }
func (k *kinded) Unwrap() error { return k.kind }

func checkUndone(t *testing.T, w *world, before []string) {
	t.Helper()
	w.settle(t)
	if s := w.status(t, "web"); s.State != resource.ContainerCreated {
		t.Errorf("status: %+v", s)
	}
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("still held: %v", held)
	}
	if n := w.alive(); n != 0 {
		t.Errorf("%d helpers live", n)
	}
	after := w.files(t)
	for i, f := range after {
		if strings.HasSuffix(f, "/log") { // what the container wrote before it failed
			after = append(after[:i:i], after[i+1:]...)
			break
		}
	}
	if diff := cmp.Diff(sorted(before), sorted(after)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

// A failed start leaves what is known of the run before.
func TestFailedStartKeepsTheLastExit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "exit", "3")
	w.start(t, "web")
	w.wait(t, "web")
	w.networks.fail["b"] = exhausted
	if _, err := w.service.Start(context.Background(), "web", false); err == nil {
		t.Fatal("started")
	}
	w.restart(t)
	if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != 3 {
		t.Errorf("status: %+v", s)
	}
}

func TestStartIsUndoneWhenItsCallerLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*testing.T, *world, context.CancelFunc){
		"cancelled": func(_ *testing.T, _ *world, cancel context.CancelFunc) { cancel() },
		"stopped": func(t *testing.T, w *world, _ context.CancelFunc) {
			if err := w.service.Stop(context.Background(), "web", nil); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.create(t, "web", "bootstrap-hang")
			before := w.files(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				_, err := w.service.Start(ctx, "web", false)
				failed <- err
			}()
			eventually(t, "bootstrap", func() bool {
				_, err := os.Stat(filepath.Join(w.roots.Sandbox(id), "request.json"))
				return err == nil
			})
			if s := w.status(t, "web"); s.State != resource.ContainerStarting {
				t.Errorf("status: %+v", s)
			}
			if _, err := w.service.Start(context.Background(), "web", false); err == nil || !strings.Contains(err.Error(), "already starting") {
				t.Errorf("second start: %v", err)
			}
			leave(t, w, cancel)
			if err := <-failed; !errors.Is(err, errdefs.ErrAborted) {
				t.Errorf("error %v, want aborted", err)
			}
			checkUndone(t, w, before)
		})
	}
}

// Two helpers that wait for each other both get there: starts are not one after
// another, nor are allocations of one start.
func TestStartsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var barrier sync.WaitGroup
	barrier.Add(4) // two containers on two networks
	w.networks.barrier = &barrier
	place := t.TempDir()
	var starts sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		w.createFrom(t, name, resource.ContainerTemplate{
			Image: "box", Command: []string{"rendezvous"}, Env: []string{"PLACE=" + place}, Networks: on("a", "b"),
		})
		starts.Go(func() { w.start(t, name) })
	}
	starts.Wait()
	list, err := w.service.List(context.Background(), false)
	if err != nil || len(list) != 2 {
		t.Errorf("%d run, %v", len(list), err)
	}
}

func TestStartAgainAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "exit", "0")
	for range 5 {
		w.start(t, "web")
		// All that a client with the standard streams knows is that it ended.
		eventually(t, "end", func() bool {
			_, run := os.Stat(filepath.Join(w.roots.Sandbox(id), "exit.json"))
			_, kept := os.Stat(filepath.Join(w.roots.Container(id), "exit.json"))
			return run == nil || kept == nil
		})
	}
}
