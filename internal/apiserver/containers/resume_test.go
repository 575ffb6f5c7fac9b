package containers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/client/sandboxclient"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/resource"
)

// What runs goes on without patchbayd, and the next one takes it over.
func TestRunningContainersAreAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	w.start(t, "web")
	before := w.status(t, "web")
	w.restart(t)
	after := w.status(t, "web")
	if after.State != resource.ContainerRunning || after.HelperPID != before.HelperPID || !after.StartedAt.Equal(before.StartedAt) || len(after.Attachments) != 2 {
		t.Errorf("after: %+v, before: %+v", after, before)
	}
	if _, err := w.service.Start(context.Background(), "web", false); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("start: %v", err)
	}
	if err := w.service.Stop(context.Background(), "web", nil); err != nil {
		t.Fatal(err)
	}
	if s := w.status(t, "web"); s.ExitCode != 143 {
		t.Errorf("stopped: %+v", s)
	}
	w.checkGone(t, id)
}

// While patchbayd is away: by itself, and by the death of the helper.
func TestWhatEndedUnseen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		signal     syscall.Signal // to the helper; 0: its container is killed
		autoRemove bool
		code       int
	}{
		"ended":                      {0, false, 137},
		"ended and to be removed":    {0, true, 137},
		"helper died":                {syscall.SIGKILL, false, 137},
		"helper died, to be removed": {syscall.SIGKILL, true, 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a", "b"), AutoRemove: tc.autoRemove})
			w.start(t, "web")
			pid := w.status(t, "web").HelperPID
			w.service.Close()
			if tc.signal != 0 {
				if err := syscall.Kill(pid, tc.signal); err != nil {
					t.Fatal(err)
				}
			} else {
				w.shutDownHelper(t, id)
			}
			eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
			w.open(t)
			if tc.autoRemove {
				eventually(t, "removal", func() bool { _, err := w.service.Get(context.Background(), "web"); return err != nil })
				w.settle(t)
				if f := w.files(t); len(f) > 0 || len(w.records.all()) > 0 {
					t.Errorf("left over: %v, %v", f, w.records.all())
				}
				return
			}
			if exit := w.wait(t, "web"); exit.Code != tc.code {
				t.Errorf("exit: %+v", exit)
			}
			if s := w.status(t, "web"); s.State != resource.ContainerStopped || (s.Message == "its runtime helper died") != (tc.signal != 0) {
				t.Errorf("status: %+v", s)
			}
			w.checkGone(t, id)
		})
	}
}

// A run whose end its helper has written, and others know, does not show as running until the
// helper is gone.
func TestEndedWhoseHelperIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	w.start(t, "web")
	w.service.Close()
	written := []byte(`{"code":3,"exitedAt":"2026-01-02T03:04:05Z"}`)
	if err := os.WriteFile(filepath.Join(w.roots.Sandbox(id), "exit.json"), written, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != 3 {
		t.Errorf("while the helper is there: %+v, want it stopped with 3", s)
	}
	w.shutDownHelper(t, id)
	w.wait(t, "web")
	w.checkGone(t, id)
}

// A reboot voids the run root.
func TestReboot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, autoRemove := range map[string]bool{"kept": false, "gone": true} {
		w.createFrom(t, name, resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a"), AutoRemove: autoRemove})
		w.start(t, name)
	}
	w.createFrom(t, "fresh", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a"), AutoRemove: true})
	pids := []int{w.status(t, "kept").HelperPID, w.status(t, "gone").HelperPID}
	w.service.Close()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "end of the helpers", func() bool { return w.alive() == 0 })
	if err := os.RemoveAll(w.roots.RunRoot); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	eventually(t, "removal", func() bool { _, err := w.service.Get(context.Background(), "gone"); return err != nil })
	for _, name := range []string{"kept", "fresh"} {
		if s := w.status(t, name); s.State != resource.ContainerCreated {
			t.Errorf("%s: %+v", name, s)
		}
	}
	w.start(t, "kept")
}

// A start that patchbayd did not live to finish is undone: it was never
// acknowledged.
func TestInterruptedStartIsUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	before := w.files(t)
	w.service.Close()
	w.startHelperOnly(t, id)
	w.networks.leases["id-a "+id+"/eth0"] = true
	w.open(t)
	eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
	w.wait(t, "web")
	checkUndone(t, w, before)
}

// So is a call that makes a container and starts it at once, with the container: nobody has heard of it. One that
// runs by then stays.
func TestInterruptedRunIsUndone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		begin func(w *world, id string) // what patchbayd lives to do
		stays bool
	}{
		"before the helper": {func(*world, string) {}, false},
		"before the start":  {func(w *world, id string) { w.service.Close(); w.startHelperOnly(t, id) }, false},
		"before the answer": {func(w *world, _ string) { w.start(t, "web") }, true},
		"and the helper dies": {func(w *world, id string) {
			w.start(t, "web")
			pid := w.status(t, "web").HelperPID
			w.service.Close()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.create(t, "web", "run")
			tc.begin(w, id)
			w.service.Close()
			if err := os.WriteFile(w.roots.Newcomer(id), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w.open(t)
			if !tc.stays {
				eventually(t, "removal", func() bool { _, err := w.service.Get(context.Background(), "web"); return err != nil })
				checkNothing(t, w)
				return
			}
			eventually(t, "its being known", func() bool { _, err := os.Stat(w.roots.Newcomer(id)); return os.IsNotExist(err) })
			if s := w.status(t, "web"); s.State != resource.ContainerRunning {
				t.Errorf("got %+v, want it to run", s)
			}
		})
	}
}

func TestStraysAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.Close()
	const id = "0123456789abcdef"
	w.startHelperOnly(t, id)
	if err := os.MkdirAll(w.roots.Container("fedcba9876543210")+"/upper", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(w.roots.Sandbox("aaaaaaaaaaaaaaaa"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.roots.Newcomer("bbbbbbbbbbbbbbbb"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	eventually(t, "removal", func() bool { return w.alive() == 0 && len(w.files(t)) == 0 })
}

// startHelperOnly does what a patchbayd does that dies in the middle of a start.
func (w *world) startHelperOnly(t *testing.T, id string) {
	t.Helper()
	_, err := w.launch(helper.Config{
		Directory: w.roots.Sandbox(id), Socket: w.roots.SandboxSocket(id), Binary: os.Args[0], Name: "patchbay-runtime-good",
		Environment: []string{"PATCHBAY_SANDBOX_ID=" + id, "PATCHBAY_STATE_DIR=" + w.roots.Sandbox(id)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedDeletionIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: static("a", "10.0.0.7")})
	w.service.Close()
	stored := w.records.all()[id]
	stored.Deleting = true
	w.records.set(id, stored)
	w.open(t)
	if r := w.service.Reservations("id-a"); len(r) > 0 {
		t.Errorf("reservations of one that is going: %v", r)
	}
	eventually(t, "deletion", func() bool { _, err := w.service.Get(context.Background(), "web"); return err != nil })
	if f, held := w.files(t), w.networks.held(); len(f)+len(held)+len(w.records.all()) > 0 {
		t.Errorf("left over: %v, %v, %v", f, held, w.records.all())
	}
}

// The start of a container that is removed when it ends says that its removal is
// due, until the container is no longer recorded.
func TestInterruptedRemovalIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"exit", "3"}, Networks: on("a"), AutoRemove: true})
	w.records.mu.Lock()
	w.records.stuck = errors.New("cut off")
	w.records.mu.Unlock()
	w.start(t, "web")
	mark := filepath.Join(w.roots.Container(id), "started")
	eventually(t, "removal of the rest", func() bool {
		entries, err := os.ReadDir(w.roots.Container(id))
		return err == nil && len(entries) == 1
	})
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the mark is gone before the record: %v", err)
	}
	w.service.Close()
	w.records.stuck = nil
	w.open(t)
	eventually(t, "removal", func() bool { return len(w.files(t)) == 0 })
	if len(w.records.all()) > 0 {
		t.Errorf("left over: %v", w.records.all())
	}
}

// An exit file that a power cut has emptied is none.
func TestBrokenExitFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	if err := os.WriteFile(filepath.Join(w.roots.Container(id), "exit.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.restart(t)
	if s := w.status(t, "web"); s.State != resource.ContainerCreated {
		t.Errorf("status: %+v", s)
	}
}

// shutDownHelper ends a helper the clean way, unseen by the service.
func (w *world) shutDownHelper(t *testing.T, id string) {
	t.Helper()
	c := sandboxclient.Dial(w.roots.SandboxSocket(id))
	defer c.Close()
	if _, err := c.Shutdown(context.Background(), &sandboxv1.ShutdownRequest{}); err != nil {
		t.Fatal(err)
	}
}

// What a helper that does not answer to the next patchbayd at once says later is known then.
func TestHelperThatAnswersLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	before := w.status(t, "web")
	standStill(t, before.HelperPID)
	w.impatient(t, &w.config.GraceTimeout, &w.config.StatusTimeout)
	for range 2 { // by then it has been given up; if not, the test can only pass too easily
		if s := w.status(t, "web"); s.State != resource.ContainerRunning || s.Message == "" {
			t.Errorf("status of one that stands still: %+v", s)
		}
	}
	if err := syscall.Kill(before.HelperPID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "since when it runs", func() bool {
		known := w.service.Known()
		return len(known) == 1 && known[0].Status.StartedAt.Equal(before.StartedAt)
	})
}
