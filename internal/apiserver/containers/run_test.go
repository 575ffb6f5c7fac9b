package containers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// running is a run of a container on two networks, whose main process is a word that
// fake knows.
func running(args ...string) resource.Run {
	return resource.Run{Name: "web", Template: resource.ContainerTemplate{Image: "box", Command: args, Networks: on("a", "b")}}
}

// The record is written while the networks allocate, all three meet, and while the helper
// begins with the sandbox.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var barrier sync.WaitGroup
	barrier.Add(3)
	w.networks.barrier = &barrier
	r := running("exit", "3")
	r.ID = resource.NewID()
	w.records.meet = func() {
		barrier.Done()
		barrier.Wait()
		eventually(t, "the beginning of the sandbox", func() bool {
			_, err := os.Stat(filepath.Join(w.roots.Sandbox(r.ID), "prepared"))
			return err == nil
		})
	}
	r.Labels = map[string]string{"k": "v"}
	started, err := w.service.Run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.roots.Newcomer(r.ID)); !os.IsNotExist(err) {
		t.Errorf("%v: the next patchbayd would take it for one that nobody has heard of", err)
	}
	want := resource.StartedContainer{ID: r.ID, StdioSocket: filepath.Join(w.roots.Sandbox(r.ID), "stdio.sock"), Warnings: []string{"careful"}}
	if diff := cmp.Diff(want, started); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	if exit := w.wait(t, "web"); exit.Code != 3 {
		t.Errorf("exit %+v, want 3", exit)
	}
	w.restart(t)
	c, err := w.service.Get(t.Context(), r.ID)
	if err != nil || c.Name != "web" || c.Labels["k"] != "v" || c.Status.ExitCode != 3 {
		t.Errorf("after a restart: %+v, %v", c, err)
	}
	if w.images.uses+w.networks.uses != 0 {
		t.Errorf("still in use: %d images, %d networks", w.images.uses, w.networks.uses)
	}
}

func TestRunAndRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := running("exit", "0")
	r.Template.AutoRemove = true
	for range 2 { // the name is free when the container is gone
		started, err := w.service.Run(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.Wait(t.Context(), started.ID, true); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			t.Fatal(err)
		}
		checkNothing(t, w)
	}
}

// checkNothing finds what there is of containers.
func checkNothing(t *testing.T, w *world) {
	t.Helper()
	w.settle(t)
	if list, err := w.service.List(context.Background(), true); err != nil || len(list) > 0 {
		t.Errorf("containers: %v, %v", list, err)
	}
	if held, stored := w.networks.held(), len(w.records.all()); len(held)+stored > 0 {
		t.Errorf("held %v, %d records", held, stored)
	}
	if n := w.alive(); n != 0 {
		t.Errorf("%d helpers live", n)
	}
	if f := w.files(t); len(f) > 0 {
		t.Errorf("files: %v", f)
	}
	if w.images.uses+w.networks.uses != 0 {
		t.Errorf("still in use: %d images, %d networks", w.images.uses, w.networks.uses)
	}
}

// Whatever fails, there is no container.
func TestRunThatFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		arrange func(*world, *resource.Run)
		kind    error
	}{
		"no such image":      {func(_ *world, r *resource.Run) { r.Template.Image = "none" }, errdefs.ErrNotFound},
		"no id":              {func(_ *world, r *resource.Run) { r.ID = "0123" }, errdefs.ErrInvalidArgument},
		"addresses in use":   {func(w *world, _ *resource.Run) { w.networks.fail["a"] = exhausted }, errdefs.ErrResourceExhausted},
		"a network refuses":  {func(w *world, _ *resource.Run) { w.networks.fail["b"] = exhausted }, errdefs.ErrResourceExhausted},
		"a full disk":        {func(w *world, _ *resource.Run) { w.records.fail = exhausted }, errdefs.ErrResourceExhausted},
		"the helper dies":    {func(_ *world, r *resource.Run) { r.Template.Runtime = "dies" }, errdefs.ErrUnavailable},
		"no such command":    {func(_ *world, r *resource.Run) { r.Template.Command = []string{"bootstrap-error"} }, errdefs.ErrNotFound},
		"a server that ends": {func(w *world, _ *resource.Run) { w.service.Drain() }, errdefs.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := running("run")
			r.Template.Networks = append(static("a", "10.0.0.7"), on("b")...)
			tc.arrange(w, &r)
			if _, err := w.service.Run(t.Context(), r); !errors.Is(err, tc.kind) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %v in one line", err, tc.kind)
			}
			checkNothing(t, w)
		})
	}
}

func TestRunWithWhatAnotherContainerHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := running("run")
	first.ID = resource.NewID()
	if _, err := w.service.Run(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	held := w.networks.held()
	sameName, sameID := running("run"), running("run")
	sameID.ID, sameID.Name = first.ID, "other"
	for _, r := range []resource.Run{sameName, sameID} {
		if _, err := w.service.Run(t.Context(), r); !errors.Is(err, errdefs.ErrAlreadyExists) {
			t.Errorf("error %v, want already exists", err)
		}
	}
	if s := w.status(t, "web"); s.State != resource.ContainerRunning || !slices.Equal(held, w.networks.held()) || len(w.records.all()) != 1 {
		t.Errorf("the first container is %+v", s)
	}
}

func TestRunIsUndoneWhenItsCallerLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*world, context.CancelFunc) error{
		"cancelled": func(_ *world, cancel context.CancelFunc) error { cancel(); return nil },
		"stopped":   func(w *world, _ context.CancelFunc) error { return w.service.Stop(context.Background(), "web", nil) },
		"deleted":   func(w *world, _ context.CancelFunc) error { return w.service.Delete(context.Background(), "web", true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := running("bootstrap-hang")
			r.ID = resource.NewID()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error, 1)
			go func() { _, err := w.service.Run(ctx, r); failed <- err }()
			eventually(t, "bootstrap", func() bool {
				_, err := os.Stat(filepath.Join(w.roots.Sandbox(r.ID), "request.json"))
				return err == nil
			})
			if s := w.status(t, "web"); s.State != resource.ContainerStarting {
				t.Errorf("status: %+v", s)
			}
			if err := leave(w, cancel); err != nil {
				t.Error(err)
			}
			if err := <-failed; !errors.Is(err, errdefs.ErrAborted) {
				t.Errorf("error %v, want aborted", err)
			}
			checkNothing(t, w)
		})
	}
}
