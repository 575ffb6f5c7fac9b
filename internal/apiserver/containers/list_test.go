package containers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/containers"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// A list describes anew what has changed, and nothing else.
func TestListKeepsWhatHasNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.AskedByList = 1
	w.restart(t)
	ctx := context.Background()
	for _, name := range []string{"web", "db", "third"} {
		w.create(t, name, "run")
		w.start(t, name)
	}
	list := func() (web, db *snapshot.Of[resource.Container]) {
		t.Helper()
		all, err := w.service.List(ctx, true)
		if err != nil || len(all) != 3 {
			t.Fatalf("list: %v, %v", all, err)
		}
		return all[2], all[1]
	}
	var web, db *snapshot.Of[resource.Container]
	eventually(t, "lists of what does not change", func() bool {
		beforeWeb, beforeDB := web, db
		web, db = list()
		return web == beforeWeb && db == beforeDB
	})
	for _, change := range []struct {
		name  string
		make  func() error
		shows func(resource.Container) bool
	}{
		{
			"a network more", func() error { _, _, err := w.service.Connect(ctx, "web", on("m")[0]); return err },
			func(c resource.Container) bool {
				return len(c.Status.Attachments) == 3 && len(c.Configuration.Networks) == 3
			},
		},
		{
			"a network less", func() error { return w.service.Disconnect(ctx, "web", "m", false) },
			func(c resource.Container) bool {
				return len(c.Status.Attachments) == 2 && len(c.Configuration.Networks) == 2
			},
		},
		{
			"a fault",
			func() error { return w.service.Kill(ctx, "web", "WINCH") },
			func(c resource.Container) bool { return len(c.Status.Faults) == 1 },
		},
		{
			"no fault",
			func() error { return w.service.Kill(ctx, "web", "CONT") },
			func(c resource.Container) bool { return len(c.Status.Faults) == 0 },
		},
		{
			"an end",
			func() error { return w.service.Stop(ctx, "web", nil) },
			func(c resource.Container) bool { return c.Status.State == resource.ContainerStopped },
		},
		{
			"another run", func() error { _, err := w.service.Start(ctx, "web", false); return err },
			func(c resource.Container) bool {
				return c.Status.State == resource.ContainerRunning && c.Status.PID != 0
			},
		},
	} {
		former := web
		if err := change.make(); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		eventually(t, change.name, func() bool {
			var other *snapshot.Of[resource.Container]
			web, other = list()
			if other != db {
				t.Errorf("%s of web: db is described anew", change.name)
			}
			return web != former && change.shows(web.Value)
		})
	}
}

// What a list takes does not grow by something for each container that it has.
func TestListTakesNoMemoryForEach(t *testing.T) {
	w := newWorld(t)
	allocations := func(count int) float64 {
		for i := len(w.records.all()); i < count; i++ {
			w.records.stored[fmt.Sprint(i)] = record.Container{Metadata: resource.Metadata{ID: fmt.Sprint(i), Name: fmt.Sprint(i), CreatedAt: time.Unix(int64(i), 0)}}
		}
		s, err := containers.New(w.config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return testing.AllocsPerRun(10, func() {
			if list, err := s.List(t.Context(), true); err != nil || len(list) != count {
				t.Fatalf("list: %d, %v", len(list), err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few+10 {
		t.Errorf("a list of 10 takes %v allocations, one of 1000 %v", few, many)
	}
}
