package containers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

// counted is what the fake helper says of a container on networks.
func counted(id, name string, networks ...string) resource.ContainerStats {
	s := resource.ContainerStats{ID: id, Name: name, Sample: resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 7}}}
	for i, n := range networks {
		s.Attachments = append(s.Attachments, resource.AttachmentTraffic{
			NetworkID: "id-" + n, Network: n, InterfaceName: "eth" + string(rune('0'+i)),
			Received: &resource.Traffic{Bytes: uint64(i + 1)}, Sent: &resource.Traffic{Bytes: uint64(i + 10)},
		})
	}
	return s
}

// wantStats wants to be told that, sooner or later: of a helper that is late there is a fault.
func (w *world) wantStats(t *testing.T, want []resource.ContainerStats, runningOnly bool, names ...string) {
	t.Helper()
	var got []resource.ContainerStats
	last := ""
	defer func() {
		if last != "" {
			t.Errorf("(-want +got):\n%s", last)
		}
	}()
	eventually(t, fmt.Sprintf("stats of %q", names), func() bool {
		var err error
		if got, err = w.service.Stats(context.Background(), names, runningOnly); err != nil {
			t.Fatalf("stats of %q: %v", names, err)
		}
		last = cmp.Diff(want, got, cmpopts.IgnoreFields(resource.Sample{}, "Time"))
		return last == ""
	})
	for _, s := range got {
		if s.Time.IsZero() != (s.Fault != "") {
			t.Errorf("stats of %s: time %v, fault %q", s.Name, s.Time, s.Fault)
		}
	}
}

// All that run or those that are named; also those that an earlier patchbayd
// started.
func TestStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	web, db, old := w.create(t, "web", "run"), w.create(t, "db", "run"), w.create(t, "old", "run")
	w.create(t, "fresh", "run")
	for _, name := range []string{"old", "web", "db"} {
		w.start(t, name)
	}
	if err := w.service.Stop(context.Background(), "old", nil); err != nil {
		t.Fatal(err)
	}
	statsOfWeb, statsOfDB := counted(web, "web", "a", "b"), counted(db, "db", "a", "b")
	both := []resource.ContainerStats{statsOfDB, statsOfWeb} // the youngest first
	w.wantStats(t, both, false)
	w.wantStats(t, both[1:], false, "web")
	w.wantStats(t, []resource.ContainerStats{statsOfWeb, statsOfDB}, false, "web", db[:8], "db", web)
	w.wantStats(t, both[1:], true, "nothing", "old", "web", "fresh")
	w.wantStats(t, nil, true, "nothing")

	_, err := w.service.Stats(context.Background(), []string{"web", "nothing", "old", "fresh"}, false)
	for _, want := range []string{`container "nothing": not found`, "container old: is not running: it is stopped", "container fresh: is not running: it is created"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %s", err, want)
		}
	}
	if !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("error %v, want its first kind", err)
	}

	w.restart(t)
	w.wantStats(t, both, false)
	w.start(t, "old")
	w.wantStats(t, []resource.ContainerStats{counted(old, "old", "a", "b"), statsOfDB, statsOfWeb}, false)
}

// A helper that cannot tell costs its own container's sample.
func TestStatsOfHelpersThatDoNotTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := map[string]string{}
	for _, name := range []string{"run", "stats-hang", "stats-unknown", "stats-error", "stats-death"} {
		ids[name] = w.create(t, name, name)
		w.start(t, name)
	}
	lacks := func(name, why string) resource.ContainerStats {
		return resource.ContainerStats{ID: ids[name], Name: name, Fault: why}
	}
	want := []resource.ContainerStats{
		lacks("stats-error", "control group: cpu.stat: cannot make sense of it"),
		lacks("stats-unknown", "its runtime helper does not count what it uses"),
		lacks("stats-hang", "its runtime helper does not answer"),
		counted(ids["run"], "run", "a", "b"),
	}
	if _, err := w.service.Stats(context.Background(), []string{"stats-death", "run"}, false); err == nil || !strings.Contains(err.Error(), "container stats-death: is not running: it is stopped") {
		t.Errorf("one that ends meanwhile: error %v", err)
	}
	w.impatient(t, &w.config.StatsTimeout, &w.config.StatusTimeout)
	w.wantStats(t, want, false)
	w.wantStats(t, want[2:], true, "stats-death", "stats-hang", "run")
	eventually(t, "status of one that only does not count", func() bool {
		s := w.status(t, "stats-hang")
		return s.State == resource.ContainerRunning && s.Message == "" && s.Traffic == nil
	})
}

// The traffic is in the status of a container that is looked at, while it runs.
func TestTrafficOfAttachments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	if s := w.status(t, "web"); s.Traffic != nil {
		t.Errorf("before the start: %+v", s.Traffic)
	}
	w.start(t, "web")
	if diff := cmp.Diff(counted(id, "web", "a", "b").Attachments, w.status(t, "web").Traffic); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := w.service.Stop(context.Background(), "web", nil); err != nil {
		t.Fatal(err)
	}
	if s := w.status(t, "web"); s.Traffic != nil {
		t.Errorf("after the end: %+v", s.Traffic)
	}
}
