package containers_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

func static(network, address string) []resource.AttachmentConfiguration {
	return []resource.AttachmentConfiguration{{Network: network, IPv4Address: netip.MustParseAddr(address)}}
}

func TestCreateCompletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.images.run = resource.ImageRunConfiguration{Labels: map[string]string{"a": "image", "b": "image"}}
	c, warnings, err := w.service.Create(context.Background(), "", map[string]string{"b": "user"}, resource.ContainerTemplate{Image: "box", Command: []string{"run"}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if err := resource.ValidateName("container", c.Name); err != nil {
		t.Errorf("made-up name: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"a": "image", "b": "user"}, c.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if c.ID == "" || c.CreatedAt.IsZero() || c.Configuration.Hostname != c.ID[:12] || c.Configuration.ImageDigest != boxDigest {
		t.Errorf("container: %+v", c)
	}
	if c.Configuration.Runtime != "good" || c.Configuration.Networks[0].Network != "id-default" || c.Configuration.StopTimeout != resource.DefaultStopTimeout {
		t.Errorf("defaults: %+v", c.Configuration)
	}
	if c.Status.State != resource.ContainerCreated {
		t.Errorf("state %s", c.Status.State)
	}
	w.restart(t)
	again, err := w.service.Get(context.Background(), c.ID[:6])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		name     string
		template resource.ContainerTemplate
		kind     error
		lines    []string // the start of each line of the error
	}{
		"all at once": {
			name: "Web",
			template: resource.ContainerTemplate{
				Image: "nothing", Runtime: "none", Networks: on("x"), Env: []string{"A"}, StopSignal: "SIGNOT",
				CapabilitiesAdd: []string{"fly"}, Resources: resource.Resources{NanoCPUs: 1e15, MemoryBytes: 1},
				Mounts: []resource.Mount{{Type: resource.MountBind, Source: "/nonexistent", Target: "/x"}},
			},
			kind: errdefs.ErrInvalidArgument,
			lines: []string{
				`container name "Web"`, `env "A"`, `memory 1 bytes`, `cpus 1e+06`, `capability "CAP_FLY"`, `stop signal "SIGNOT"`,
				`mount "/x": source /nonexistent: no such file or directory`, `image nothing: not found; pull it`, `runtime plugin "none"`, `network "x": not found`,
			},
		},
		"image unknown": {template: resource.ContainerTemplate{Image: "nothing"}, kind: errdefs.ErrNotFound, lines: []string{"image nothing"}},
		"no command":    {template: resource.ContainerTemplate{Image: "box"}, kind: errdefs.ErrInvalidArgument, lines: []string{"command: image box has none"}},
		"name is taken": {name: "taken", template: resource.ContainerTemplate{Image: "box", Command: []string{"run"}}, kind: errdefs.ErrAlreadyExists, lines: []string{`container name "taken": is that of container `}},
		"runtime lacks the strategy": {
			template: resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Runtime: "poor", Networks: on("a")},
			kind:     errdefs.ErrFailedPrecondition,
			lines:    []string{"network a: plugin bridge, variant nat, makes interfaces by strategy bridge-port, which runtime poor lacks: it has macvlan"},
		},
		"address is taken": {template: resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: append(static("a", "10.0.0.7"), static("b", "10.0.1.7")...)}, kind: errdefs.ErrAlreadyExists, lines: []string{"network b: 10.0.1.7 is db's"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(t, "taken", "run")
			w.networks.fail["b"] = &kinded{"network b: 10.0.1.7 is db's", errdefs.ErrAlreadyExists}
			before, records := w.files(t), len(w.records.all())
			_, _, err := w.service.Create(context.Background(), tc.name, nil, tc.template)
			if !errors.Is(err, tc.kind) {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			lines := strings.Split(err.Error(), "\n")
			for i, want := range tc.lines {
				if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d of\n%v\nwant %q", i, err, want)
				}
			}
			if len(lines) != len(tc.lines) {
				t.Errorf("%d lines, want %d:\n%v", len(lines), len(tc.lines), err)
			}
			if held := w.networks.held(); len(held) > 0 || w.images.uses > 0 {
				t.Errorf("still held: %v, images %d", held, w.images.uses)
			}
			if diff := cmp.Diff(before, w.files(t)); diff != "" || len(w.records.all()) != records {
				t.Errorf("files (-before +after):\n%s%d records", diff, len(w.records.all()))
			}
		})
	}
}

func TestCreateThatCannotBeStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records.fail = &kinded{"disk full", errdefs.ErrResourceExhausted}
	template := resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: static("a", "10.0.0.7")}
	if _, _, err := w.service.Create(context.Background(), "web", nil, template); !errors.Is(err, errdefs.ErrResourceExhausted) {
		t.Errorf("error %v", err)
	}
	if f, held := w.files(t), w.networks.held(); len(f)+len(held) > 0 {
		t.Errorf("left over: %v, %v", f, held)
	}
	w.records.fail = nil
	w.createFrom(t, "web", template) // the name is free again
}

func TestStaticAddressesAreReserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: append(on("b"), static("a", "10.0.0.7")...)})
	if diff := cmp.Diff([]string{"reserved id-a " + id + "/eth1"}, w.networks.held()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	r := w.service.Reservations("id-a")
	if len(r) != 1 || r[0].Key != id+"/eth1" || r[0].Owner != "web" || r[0].Configuration.IPv4Address.String() != "10.0.0.7" {
		t.Errorf("reservations: %+v", r)
	}
	w.start(t, "web")
	if err := w.service.Stop(context.Background(), "web", nil); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if held := w.networks.held(); len(held) != 1 {
		t.Errorf("held while stopped: %v", held)
	}
	if err := w.service.Delete(context.Background(), "web", false); err != nil {
		t.Fatal(err)
	}
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("held after the deletion: %v", held)
	}
}

func TestNamesAreUniqueAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var (
		creates sync.WaitGroup
		mu      sync.Mutex
		made    int
	)
	for range 8 {
		creates.Go(func() {
			_, _, err := w.service.Create(context.Background(), "web", nil, resource.ContainerTemplate{Image: "box", Command: []string{"run"}})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, errdefs.ErrAlreadyExists) {
				t.Error(err)
			}
		})
	}
	creates.Wait()
	if made != 1 || len(w.records.all()) != 1 {
		t.Errorf("%d made, %d stored, want 1", made, len(w.records.all()))
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.networks.states["a"] = resource.NetworkFailed
	_, warnings, err := w.service.Create(context.Background(), "", nil, resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a")})
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "network a is failed") {
		t.Errorf("warnings %v, error %v", warnings, err)
	}
}

// A network's label chooses the runtime of who names none, and keeps others out.
func TestNetworkDemandsRuntime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		demands  map[string]string
		runtime  string
		networks []string
		want     string // runtime
		lines    []string
	}{
		"nobody demands any":     {networks: []string{"a"}, want: "good"},
		"chosen":                 {demands: map[string]string{"b": "dies"}, networks: []string{"a", "b"}, want: "dies"},
		"the built-in network's": {demands: map[string]string{"default": "dies"}, want: "dies"},
		"named too":              {demands: map[string]string{"b": "dies"}, runtime: "dies", networks: []string{"b"}, want: "dies"},
		"another is named":       {demands: map[string]string{"b": "dies"}, runtime: "good", networks: []string{"a", "b", "b"}, lines: []string{"network b: is for containers of runtime dies alone (label patchbay.dev/runtime), not of good"}},
		"two disagree":           {demands: map[string]string{"a": "dies", "b": "hangs"}, networks: []string{"a", "b"}, lines: []string{"network b: is for containers of runtime hangs alone (label patchbay.dev/runtime), not of dies"}},
		"one that is not there":  {demands: map[string]string{"a": "none"}, networks: []string{"a"}, lines: []string{`runtime plugin "none": not found`}},
		"not on the network":     {demands: map[string]string{"b": "dies"}, networks: []string{"a"}, want: "good"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.networks.demands = tc.demands
			c, _, err := w.service.Create(context.Background(), "", nil, resource.ContainerTemplate{
				Image: "box", Command: []string{"run"}, Runtime: tc.runtime, Networks: on(tc.networks...),
			})
			if len(tc.lines) == 0 {
				if err != nil || c.Configuration.Runtime != tc.want {
					t.Errorf("runtime %s, %v, want %s", c.Configuration.Runtime, err, tc.want)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.lines[0]) || strings.Count(err.Error(), "\n") != len(tc.lines)-1 || len(w.records.all()) != 0 {
				t.Errorf("got %v, want %q", err, tc.lines)
			}
		})
	}
}

// A label that a network gets later keeps out who joins or starts from then on.
func TestNetworkDemandsRuntimeLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a")})
	w.networks.demands = map[string]string{"a": "dies", "b": "dies"}
	const want = "is for containers of runtime dies alone (label patchbay.dev/runtime), not of good"
	if _, _, err := w.service.Connect(context.Background(), "web", resource.AttachmentConfiguration{Network: "b"}); !errors.Is(err, errdefs.ErrFailedPrecondition) || err.Error() != "network b: "+want {
		t.Errorf("connect: %v", err)
	}
	if _, err := w.service.Start(context.Background(), "web", false); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "network a: "+want) {
		t.Errorf("start: %v", err)
	}
}

func TestWhoUsesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "b", "run")
	w.create(t, "a", "run")
	w.createFrom(t, "c", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, NoNetwork: true})
	if diff := cmp.Diff([]string{"a", "b"}, w.service.ContainersOn("id-b")); diff != "" {
		t.Errorf("on network b (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, w.service.ContainersUsing(boxDigest)); diff != "" {
		t.Errorf("of the image (-want +got):\n%s", diff)
	}
	if running, stopped := w.service.Count(); running != 0 || stopped != 3 {
		t.Errorf("count: %d, %d", running, stopped)
	}
	w.start(t, "a")
	if i := w.service.Instances()["good"]; len(i) != 1 || i[0].Resource != "a" || i[0].PID == 0 {
		t.Errorf("instances: %+v", i)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "deaf")
	w.start(t, "web")
	if err := w.service.Delete(context.Background(), "web", false); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "is running: stop it first") {
		t.Errorf("delete of a running one: %v", err)
	}
	var deletes sync.WaitGroup
	for range 3 { // who comes second waits for the first
		deletes.Go(func() {
			if err := w.service.Delete(context.Background(), "web", true); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	deletes.Wait()
	if f, held := w.files(t), w.networks.held(); len(f)+len(held)+len(w.records.all())+w.alive() > 0 {
		t.Errorf("left over: %v, %v, %v", f, held, w.records.all())
	}
	if err := w.service.Delete(context.Background(), "web", true); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
}

// A deletion that the records refuse has taken nothing away, and what is set aside
// stays so.
func TestRefusedDeletionLeavesTheContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: static("a", "10.0.0.7")})
	w.start(t, "web")
	w.records.mu.Lock()
	w.records.stuck = errors.New("cut off")
	w.records.mu.Unlock()
	if err := w.service.Delete(context.Background(), "web", true); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("delete: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.roots.Container(id), "upper")); err != nil {
		t.Errorf("the writable layer: %v", err)
	}
	if r := w.service.Reservations("id-a"); len(r) != 1 {
		t.Errorf("reservations: %v", r)
	}
	if reserved := "reserved id-a " + id + "/eth0"; !slices.Contains(w.networks.held(), reserved) {
		t.Errorf("the networks have %v, want %q among it", w.networks.held(), reserved)
	}
	w.records.mu.Lock()
	w.records.stuck = nil
	w.records.mu.Unlock()
	w.start(t, "web")
	if err := w.service.Delete(context.Background(), "web", true); err != nil {
		t.Error(err)
	}
	if f, held := w.files(t), w.networks.held(); len(f)+len(held)+len(w.records.all())+w.alive() > 0 {
		t.Errorf("left over: %v, %v, %v", f, held, w.records.all())
	}
}

// One release is enough for a container that is killed to be deleted.
func TestDeletionReleasesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	before := w.networks.releases()
	if err := w.service.Delete(context.Background(), "web", true); err != nil {
		t.Fatal(err)
	}
	if n := w.networks.releases() - before; n != len(on("a", "b")) {
		t.Errorf("%d calls of Release", n)
	}
}

// To delete makes room: a full disk must not keep anybody from it.
func TestDeleteOnAFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, "web", "run")
	w.records.full = func() error {
		if _, err := os.Stat(filepath.Join(w.roots.Container(id), "upper")); err == nil {
			return &kinded{"disk full", errdefs.ErrResourceExhausted}
		}
		return nil
	}
	if err := w.service.Delete(context.Background(), "web", false); err != nil {
		t.Fatal(err)
	}
	if f := w.files(t); len(f)+len(w.records.all()) > 0 {
		t.Errorf("left over: %v", f)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{
		Image: "box", Command: []string{"run"}, Networks: on("a"), User: "app", WorkingDirectory: "/srv", Env: []string{"A=1", "B=2"},
	})
	exec := resource.Exec{Process: resource.Process{Args: []string{"ls"}, Env: []string{"B=3"}}}
	if _, err := w.service.Exec(context.Background(), "web", exec); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "is not running: it is created") {
		t.Errorf("exec in one that does not run: %v", err)
	}
	w.start(t, "web")
	if _, err := w.service.Exec(context.Background(), "web", resource.Exec{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("exec of nothing: %v", err)
	}
	directory := ""
	for want, x := range map[string]resource.Exec{
		"[ls]|[A=1 B=3]|app|/srv|false": exec,
		"[ls]|[A=1 B=2]|root|/tmp|true": {Process: resource.Process{Args: []string{"ls"}, User: "root", WorkingDirectory: "/tmp"}, Privileged: true},
	} {
		session, err := w.service.Exec(context.Background(), "web", x)
		if err != nil || session.ProcessID != want || !strings.HasSuffix(session.StdioSocket, "/stdio.sock") {
			t.Errorf("session %+v, %v, want %s", session, err, want)
		}
		directory = filepath.Dir(session.StdioSocket)
	}
	if code, err := w.service.WaitExec(context.Background(), "web", "1"); err != nil || code != 42 {
		t.Errorf("wait: %d, %v", code, err)
	}
	for _, wrong := range []struct{ process, signal string }{{"", "TERM"}, {"1", "NONSENSE"}, {"1", "0"}} {
		if err := w.service.KillExec(context.Background(), "web", wrong.process, wrong.signal); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("kill %+v: %v, want an invalid argument", wrong, err)
		}
	}
	for signal, told := range map[string]string{"hup": "signal-1-1", "15": "signal-1-15", "": "signal-1-9"} {
		if err := w.service.KillExec(context.Background(), "web", "1", signal); err != nil {
			t.Errorf("kill by %q: %v", signal, err)
		}
		if _, err := os.Stat(filepath.Join(directory, told)); err != nil {
			t.Errorf("kill by %q: the helper was told of none: %v", signal, err)
		}
	}
	if err := w.service.Resize(context.Background(), "web", "", resource.TerminalSize{Width: 80, Height: 25}); err != nil {
		t.Error(err)
	}
	if err := w.service.Resize(context.Background(), "web", "", resource.TerminalSize{Width: 1 << 16, Height: 25}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("resize out of range: %v", err)
	}
}

func TestLogsFollowToTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	first := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- w.service.Logs(context.Background(), "web", resource.LogQuery{Tail: -1, Follow: true}, func(resource.LogEntry) error {
			first <- struct{}{}
			return nil
		})
	}()
	<-first
	if err := w.service.Stop(context.Background(), "web", ptr(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "web", "run")
	w.start(t, "web")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.service.Wait(ctx, "web", false); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	calls := map[string]func() error{
		"wait":      func() error { _, err := w.service.Wait(context.Background(), "web", true); return err },
		"wait exec": func() error { _, err := w.service.WaitExec(context.Background(), "web", "for ever"); return err },
		"logs": func() error {
			return w.service.Logs(context.Background(), "web", resource.LogQuery{Follow: true}, func(resource.LogEntry) error { return nil })
		},
	}
	type result struct {
		call string
		err  error
	}
	waited := make(chan result, len(calls))
	for name, call := range calls {
		go func() { waited <- result{name, call()} }()
	}
	w.service.Drain()
	for range calls {
		if r := <-waited; !errors.Is(r.err, errdefs.ErrUnavailable) || !strings.Contains(r.err.Error(), "patchbayd is going down") {
			t.Errorf("%s: %v", r.call, r.err)
		}
	}
	if _, err := w.service.Start(context.Background(), "web", false); !errors.Is(err, errdefs.ErrUnavailable) && !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("start: %v", err)
	}
	w.restart(t)
}
