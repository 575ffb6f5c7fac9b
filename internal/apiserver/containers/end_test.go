package containers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// kill sends a signal to the helper of a container.
func (w *world) kill(t tb, name string, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(w.status(t, name).HelperPID, signal); err != nil {
		t.Fatal(err)
	}
}

// standStill stops a helper and returns when it stands still.
func standStill(t tb, pid int) {
	t.Helper()
	if err := errors.Join(syscall.Kill(pid, syscall.SIGSTOP), unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) checkGone(t *testing.T, id string) {
	t.Helper()
	w.settle(t)
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("still held: %v", held)
	}
	for _, f := range w.files(t) {
		if strings.HasPrefix(f, "/run/sandboxes/") {
			t.Errorf("left over: %s", f)
		}
	}
	if _, err := os.Stat(w.roots.RunRoot + "/residue-" + id); err == nil {
		t.Error("what only the cleanup verb removes is left")
	}
}

func TestHelperDeathTakesTheContainerAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	w.start(t, "web")
	if _, err := os.Stat(w.roots.RunRoot + "/residue-" + id); err != nil {
		t.Fatalf("the test needs something to clean up: %v", err)
	}
	w.kill(t, "web", syscall.SIGKILL)
	if exit := w.wait(t, "web"); exit.Code != 137 || exit.Message != "its runtime helper died" {
		t.Errorf("exit: %+v", exit)
	}
	if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != 137 || s.Message != "its runtime helper died" {
		t.Errorf("status: %+v", s)
	}
	w.checkGone(t, id)
	w.start(t, "web")
	if s := w.status(t, "web"); s.State != resource.ContainerRunning {
		t.Errorf("started again: %+v", s)
	}
}

// A helper that hangs costs only itself, and can be got rid of.
func TestHelperThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	w.create(t, "other", "run")
	w.start(t, "web")
	w.start(t, "other")
	w.impatient(t, &w.config.StatusTimeout)
	standStill(t, w.status(t, "web").HelperPID)
	const hangs = "its runtime helper does not answer"
	eventually(t, "a helper that stands still", func() bool { return w.status(t, "web").Message == hangs })
	eventually(t, "a list of one that stands still and one that does not", func() bool {
		list, err := w.service.List(context.Background(), false)
		if err != nil || len(list) != 2 {
			t.Fatalf("list: %v, %v", list, err)
		}
		return !slices.ContainsFunc(list, func(one *snapshot.Of[resource.Container]) bool {
			c := one.Value
			return (c.Status.Message == hangs) != (c.Name == "web") || c.Status.State != resource.ContainerRunning
		})
	})
	if _, err := w.service.Exec(context.Background(), "other", resource.Exec{Process: resource.Process{Args: []string{"ls"}}}); err != nil {
		t.Errorf("the other container: %v", err)
	}
	w.impatient(t, &w.config.GraceTimeout)
	if err := w.service.Stop(context.Background(), "web", nil); err != nil {
		t.Errorf("stop: %v", err)
	}
	if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != 137 {
		t.Errorf("status: %+v", s)
	}
	w.checkGoneOf(t, id)
}

func (w *world) checkGoneOf(t *testing.T, id string) {
	t.Helper()
	w.settle(t)
	for _, f := range w.files(t) {
		if strings.Contains(f, "/run/") && strings.Contains(f, id) {
			t.Errorf("left over: %s", f)
		}
	}
}

func TestHelperThatStaysAfterItsContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "stays")
	w.start(t, "web")
	w.impatient(t, &w.config.GraceTimeout)
	eventually(t, "a signal that is sent in time", func() bool {
		err := w.service.Kill(context.Background(), "web", "TERM")
		return err == nil || errors.Is(err, errdefs.ErrFailedPrecondition) // one that was late has ended it
	})
	if exit := w.wait(t, "web"); exit.Code != 143 {
		t.Errorf("exit: %+v", exit)
	}
	w.checkGone(t, id)
	if n := w.alive(); n != 0 {
		t.Errorf("%d helpers live", n)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	short, long := time.Duration(0), patience
	for name, tc := range map[string]struct {
		word    string
		signal  string
		timeout *time.Duration
		code    int
	}{
		"by its signal":             {"run", "", &long, 143},
		"by another signal":         {"run", "INT", &long, 130},
		"deaf, killed at once":      {"deaf", "", &short, 137},
		"deaf, killed after a time": {"deaf", "", ptr(50 * time.Millisecond), 137},
		"immortal, helper killed":   {"immortal", "", &short, 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{tc.word}, Networks: on("a"), StopSignal: tc.signal})
			if err := w.service.Stop(context.Background(), "web", nil); err != nil {
				t.Errorf("stop of one that does not run: %v", err)
			}
			w.start(t, "web")
			if tc.word == "immortal" {
				w.impatient(t, &w.config.GraceTimeout)
			}
			if err := w.service.Stop(context.Background(), "web", tc.timeout); err != nil {
				t.Fatal(err)
			}
			if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != tc.code {
				t.Errorf("status: %+v, want code %d", s, tc.code)
			}
			w.checkGone(t, id)
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestStopShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "deaf")
	w.start(t, "web")
	stopped := make(chan error)
	go func() { stopped <- w.service.Stop(context.Background(), "web", ptr(time.Hour)) }()
	eventually(t, "stopping", func() bool { return w.status(t, "web").State == resource.ContainerStopping })
	if _, err := w.service.Start(context.Background(), "web", false); err == nil || !strings.Contains(err.Error(), "already stopping") {
		t.Errorf("start: %v", err)
	}
	if err := w.service.Kill(context.Background(), "web", ""); err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	for signal, kind := range map[string]error{"": errdefs.ErrFailedPrecondition, "NONSENSE": errdefs.ErrInvalidArgument, "0": errdefs.ErrInvalidArgument} {
		if err := w.service.Kill(context.Background(), "web", signal); !errors.Is(err, kind) {
			t.Errorf("kill by %q: %v, want %v", signal, err, kind)
		}
	}
	w.start(t, "web")
	if err := w.service.Kill(context.Background(), "web", "sigusr1"); err != nil {
		t.Fatal(err)
	}
	if exit := w.wait(t, "web"); exit.Code != 128+int(syscall.SIGUSR1) {
		t.Errorf("exit: %+v", exit)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a"), AutoRemove: true})
	w.start(t, "web")
	before := w.status(t, "web").HelperPID
	if _, err := w.service.Restart(context.Background(), "web", nil); err != nil {
		t.Fatal(err)
	}
	if s := w.status(t, "web"); s.State != resource.ContainerRunning || s.HelperPID == before {
		t.Errorf("status: %+v, helper before %d", s, before)
	}
}

func TestAutoRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a"), AutoRemove: true})
	w.start(t, "web")
	exit := make(chan resource.ContainerExit, 1)
	go func() {
		e, err := w.service.Wait(context.Background(), "web", true)
		if err != nil {
			t.Error(err)
		}
		exit <- e
	}()
	if err := w.service.Kill(context.Background(), "web", "HUP"); err != nil {
		t.Fatal(err)
	}
	if e := <-exit; e.Code != 129 {
		t.Errorf("exit: %+v", e)
	}
	if _, err := w.service.Get(context.Background(), "web"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	w.settle(t)
	if f := w.files(t); len(f) > 0 || len(w.records.all()) > 0 {
		t.Errorf("left over: %v, %v", f, w.records.all())
	}
}

// staying is a world in which the helper of a container has told of the end and stays. The
// container has ended for callers; the helper is killed by who calls what is returned.
func staying(t *testing.T, autoRemove bool) (w *world, id string, end func()) {
	t.Helper()
	w = newWorld(t)
	id = w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"stays"}, Networks: on("a"), AutoRemove: autoRemove})
	w.start(t, "web")
	pid := w.status(t, "web").HelperPID
	if err := w.service.Kill(context.Background(), "web", "TERM"); err != nil {
		t.Fatal(err)
	}
	exit, err := w.service.Wait(context.Background(), "web", autoRemove)
	switch {
	case autoRemove && errors.Is(err, errdefs.ErrNotFound): // it is gone already
	case err != nil || exit.Code != 143 || exit.Message != "so it ended":
		t.Errorf("exit: %+v, %v", exit, err)
	}
	eventually(t, "end of its leases", func() bool { return len(w.networks.held()) == 0 })
	if n := w.alive(); n != 1 {
		t.Fatalf("%d helpers live, want the one that stays", n)
	}
	return w, id, func() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// blocked calls f, and end once f is at a place where it waits for that.
func blocked(t *testing.T, what string, end func(), f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		t.Fatalf("%s: %v, before the helper was gone", what, err)
	case <-time.After(20 * time.Millisecond): // it can only pass too easily
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// Nobody but who needs its place waits for the end of a helper.
func TestHelperThatStaysIsInNobodysWay(t *testing.T) {
	t.Parallel()
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		w, id, end := staying(t, true)
		if n := len(w.records.all()); n > 0 {
			t.Errorf("%d records, want none", n)
		}
		next := w.create(t, "web", "run") // the name is free
		again := resource.Run{ID: id, Name: "again", Template: resource.ContainerTemplate{Image: "box", Command: []string{"run"}}}
		blocked(t, "another container of the same id", end, func() error {
			_, err := w.service.Run(context.Background(), again)
			return err
		})
		w.start(t, "web")
		if err := errors.Join(w.service.Delete(context.Background(), "again", true), w.service.Delete(context.Background(), next, true)); err != nil {
			t.Error(err)
		}
		if f := w.files(t); len(f) > 0 {
			t.Errorf("left over: %v", f)
		}
	})
	for what, f := range map[string]func(*world) error{
		"start": func(w *world) error {
			_, err := w.service.Start(context.Background(), "web", false)
			return err
		},
		"delete": func(w *world) error { return w.service.Delete(context.Background(), "web", false) },
		"change": func(w *world) error { // as a copy, it may need a helper of its own
			_, _, err := w.service.Connect(context.Background(), "web", resource.AttachmentConfiguration{Network: "b"})
			return err
		},
		"stop of all": func(w *world) error { return w.service.StopAll(context.Background(), 0) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w, id, end := staying(t, false)
			if s := w.status(t, "web"); s.State != resource.ContainerStopped || s.ExitCode != 143 || s.StartedAt.IsZero() {
				t.Errorf("status while its helper stays: %+v", s)
			}
			if disk.ReadExit(w.roots.Container(id)) == nil {
				t.Error("how it ended is not kept yet")
			}
			blocked(t, what, end, func() error { return f(w) })
		})
	}
}

// What a patchbayd leaves that dies between the answer and the end of a helper, the next one
// takes away.
func TestHelperThatOutlivesPatchbayd(t *testing.T) {
	t.Parallel()
	w, id, _ := staying(t, true)
	w.impatient(t, &w.config.GraceTimeout)
	eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
	eventually(t, "end of its directory", func() bool { _, err := os.Stat(w.roots.Sandbox(id)); return err != nil })
	eventually(t, "end of the files", func() bool { return len(w.files(t)) == 0 })
}

// How a container has ended is kept, whatever of its run the next patchbayd finds.
func TestKeptExit(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(t *testing.T, w *world, directory string, end func()){
		"helper lives": func(*testing.T, *world, string, func()) {},
		"helper gone": func(t *testing.T, w *world, _ string, end func()) {
			end()
			eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
		},
		"directory half gone": func(t *testing.T, w *world, directory string, end func()) {
			end()
			eventually(t, "end of the helper", func() bool { return w.alive() == 0 })
			if err := os.Remove(filepath.Join(directory, disk.ExitFile)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, id, end := staying(t, false)
			before := w.status(t, "web")
			w.config.GraceTimeout = 200 * time.Millisecond
			w.service.Close()
			away(t, w, w.roots.Sandbox(id), end)
			w.open(t)
			if diff := cmp.Diff(before, w.status(t, "web")); diff != "" {
				t.Errorf("status, before and at once after:\n%s", diff)
			}
			w.wait(t, "web")
			if diff := cmp.Diff(before, w.status(t, "web")); diff != "" {
				t.Errorf("status, before and after:\n%s", diff)
			}
			w.checkGone(t, id)
		})
	}
}

// The record of what is removed when it ends goes while its networks are asked.
func TestAutoRemoveIsUnrecordedBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("m"), AutoRemove: true})
	w.start(t, "web")
	unrecorded := make(chan struct{})
	w.records.full = func() error { close(unrecorded); return nil } // twice would be a panic
	w.networks.meet = func() {
		select {
		case <-unrecorded:
		case <-time.After(patience):
			t.Error("the network was asked to release, and the record is still there")
		}
	}
	if err := w.service.Kill(context.Background(), "web", "HUP"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.Wait(context.Background(), "web", true); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		t.Fatal(err)
	}
	w.settle(t)
	if f := w.files(t); len(f) > 0 || len(w.records.all()) > 0 {
		t.Errorf("left over: %v, %v", f, w.records.all())
	}
}

// The end is told before the networks have what they can wait for by themselves, and after the host has back
// what they took of it.
func TestEndIsToldBeforeLeasesAreReleased(t *testing.T) {
	t.Parallel()
	for network, first := range map[string]bool{"a": true, "m": false} {
		for _, autoRemove := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", network, autoRemove), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on(network), AutoRemove: autoRemove})
				w.start(t, "web")
				told, release := make(chan struct{}), make(chan struct{})
				w.networks.meet = sync.OnceFunc(func() {
					defer close(release)
					if !first {
						select {
						case <-told:
							t.Error("the end was told before the network had its lease back")
						default:
						}
						return
					}
					select {
					case <-told:
					case <-time.After(patience):
						t.Error("the network was asked to release, and the end is not told")
					}
					if held := w.networks.held(); !slices.Contains(held, "leaving") {
						t.Errorf("held: %v, want that it is leaving", held)
					}
				})
				if err := w.service.Kill(t.Context(), "web", "HUP"); err != nil {
					t.Fatal(err)
				}
				if _, err := w.service.Wait(t.Context(), "web", autoRemove); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
					t.Fatal(err)
				}
				close(told)
				<-release
				w.settle(t)
				if held := w.networks.held(); len(held) > 0 {
					t.Errorf("left over: %v", held)
				}
			})
		}
	}
}

// A record that could not be deleted beside the rest is deleted after it.
func TestAutoRemoveTriesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a"), AutoRemove: true})
	w.start(t, "web")
	tries := 0
	w.records.full = func() error {
		if tries++; tries == 1 {
			return errors.New("the disk is away")
		}
		return nil
	}
	if err := w.service.Kill(context.Background(), "web", "HUP"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.Wait(context.Background(), "web", true); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		t.Fatal(err)
	}
	w.settle(t)
	if f := w.files(t); len(f) > 0 || len(w.records.all()) > 0 {
		t.Errorf("left over: %v, %v", f, w.records.all())
	}
}

func TestStopAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, word := range []string{"run", "deaf", "run", "exit"} {
		w.createFrom(t, string(rune('a'+i)), resource.ContainerTemplate{Image: "box", Command: []string{word, "0"}, Networks: on("a"), AutoRemove: i == 2})
		w.start(t, string(rune('a'+i)))
	}
	if err := w.service.StopAll(context.Background(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	list, err := w.service.List(context.Background(), true)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range list {
		c := one.Value
		names = append(names, c.Name)
		if c.Status.State != resource.ContainerStopped {
			t.Errorf("%s: %+v", c.Name, c.Status)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"a", "b", "d"}) {
		t.Errorf("left: %v, want a, b and d", names)
	}
	if n := w.alive(); n != 0 {
		t.Errorf("%d helpers live", n)
	}
	if _, err := w.service.Start(context.Background(), "a", false); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("start while shutting down: %v", err)
	}
}

func TestPluginThatIsDownDoesNotKeepAContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	w.networks.mu.Lock()
	w.networks.down["b"] = errdefs.ErrUnavailable
	w.networks.mu.Unlock()
	if err := w.service.Delete(context.Background(), "web", true); err != nil {
		t.Fatal(err)
	}
	if got := w.service.Reservations("id-b"); len(got) > 0 {
		t.Errorf("reservations: %v", got)
	}
	if f := w.files(t); len(f) > 0 {
		t.Errorf("left over: %v", f)
	}
}

// A list asks no more helpers for each further container, in turn, and shows what they
// said before.
func TestListOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pids, helpers := map[string]int{}, map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		w.create(t, name, "run")
		w.start(t, name)
		s := w.status(t, name)
		pids[name], helpers[name] = s.PID, s.HelperPID
	}
	w.config.AskedByList = 1
	w.impatient(t, &w.config.StatusTimeout)
	for name, pid := range pids {
		eventually(t, "that "+name+" answers", func() bool { s := w.status(t, name); return s.Message == "" && s.PID == pid })
		standStill(t, helpers[name]) // without being asked any more, lest it be late
	}
	lists, silent := 0, 0
	eventually(t, "helpers that do not answer any more", func() bool {
		list, err := w.service.List(context.Background(), false)
		if err != nil || len(list) != len(pids) {
			t.Fatalf("list: %v, %v", list, err)
		}
		before := silent
		silent = 0
		for _, c := range list {
			if c.Value.Status.Message != "" {
				silent++
			}
			if c.Value.Status.State != resource.ContainerRunning || c.Value.Status.PID != pids[c.Value.Name] || c.Value.Status.HelperPID == 0 {
				t.Errorf("%s: %+v, want it to run as process %d", c.Value.Name, c.Value.Status, pids[c.Value.Name])
			}
		}
		if silent < before || silent > lists {
			t.Errorf("list number %d: %d helpers are known not to answer, %d before; want one more for each list at most", lists, silent, before)
		}
		lists++
		return silent == len(pids)
	})
	w.kill(t, "b", syscall.SIGKILL)
	eventually(t, "a death that nobody asks for", func() bool {
		list, err := w.service.List(context.Background(), false)
		return err == nil && len(list) == len(pids)-1
	})
}

// What changes in a helper is known without asking it, and to one that took over from
// an earlier patchbayd. A helper of an earlier version is asked.
func TestHelpersTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	web := w.create(t, "web", "run")
	old := w.createFrom(t, "old", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Runtime: "old", Networks: on("a")})
	w.start(t, "web")
	w.start(t, "old")
	faultsOf := func(name string) string {
		for _, c := range w.service.Known() {
			if c.Name == name {
				return strings.Join(c.Status.Faults, "\n")
			}
		}
		t.Fatalf("container %s: not known", name)
		return ""
	}
	tell := func(signal, want string) {
		t.Helper()
		if err := w.service.Kill(ctx, "web", signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("fault %q after %s", want, signal), func() bool { return faultsOf("web") == want })
	}
	const fault = "lease a is not held"
	tell("WINCH", fault)
	tell("CONT", "")
	if _, err := os.Stat(filepath.Join(w.roots.Sandbox(web), asked)); !os.IsNotExist(err) {
		t.Errorf("the helper of web was asked: %v", err)
	}
	w.restart(t)
	tell("WINCH", fault)

	if err := w.service.Kill(ctx, "old", "WINCH"); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "old").Faults; len(got) != 1 || faultsOf("old") != fault {
		t.Errorf("faults of old: %v, then known: %q", got, faultsOf("old"))
	}
	for name, id := range map[string]string{"web": web, "old": old} {
		if err := w.service.Kill(ctx, name, "TERM"); err != nil {
			t.Fatal(err)
		}
		if exit := w.wait(t, name); exit.Code != 143 {
			t.Errorf("%s: exit %+v", name, exit)
		}
		w.checkGoneOf(t, id)
	}
}

// awaited is a context that tells when somebody waits for its end.
type awaited struct {
	context.Context
	waits chan<- struct{}
}

func (a awaited) Done() <-chan struct{} {
	select {
	case a.waits <- struct{}{}:
	default:
	}
	return a.Context.Done()
}

// Who waits for a container that removes itself before it ends gets its code, who comes later learns
// that there is none.
func TestWaitForOneThatRemovesItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, AutoRemove: true})
	w.start(t, "web")
	var waiting sync.WaitGroup
	for _, deleted := range []bool{false, true} {
		waits := make(chan struct{}, 1)
		waiting.Go(func() {
			exit, err := w.service.Wait(awaited{t.Context(), waits}, "web", deleted)
			if err != nil || exit.Code != 137 {
				t.Errorf("wait, deleted %t: %+v, %v, want code 137", deleted, exit, err)
			}
		})
		<-waits
	}
	w.shutDownHelper(t, id)
	waiting.Wait()
	if _, err := w.service.Wait(t.Context(), "web", false); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("wait when it is gone: %v, want it not found", err)
	}
}
