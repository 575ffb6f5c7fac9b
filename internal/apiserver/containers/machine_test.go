package containers_test

import (
	"context"
	"flag"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"patchbay.dev/patchbay/resource"
)

// cycles of TestCycles; each starts a process. A leak shows after a few.
var cycles = flag.Int("cycles", 100, "how often TestCycles creates, starts, stops and deletes a container")

// TestCycles: whatever is done often leaves nothing behind, neither on the host
// nor in patchbayd.
func TestCycles(t *testing.T) {
	w := newWorld(t)
	// What is there after the first time is not growth.
	cycle(t, w, "warm-up")
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)

	const workers = 4
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for range *cycles / workers {
				cycle(t, w, "web-"+string(rune('a'+i)))
			}
		})
	}
	all.Wait()
	if f, held := w.files(t), w.networks.held(); len(f)+len(held)+len(w.records.all())+w.alive()+w.images.uses > 0 {
		t.Errorf("left over: files %v, networks %v, records %v, helpers %d, images %d", f, held, w.records.all(), w.alive(), w.images.uses)
	}
	if left, err := os.ReadDir(w.roots.RunRoot); err != nil || len(left) != 2 {
		t.Errorf("run root: %v, %v, want newcomers and sandboxes alone", left, err)
	}
	eventually(t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "descriptors as before", func() bool { return openFiles(t) <= descriptors })
}

func cycle(t *testing.T, w *world, name string) {
	w.create(t, name, "run")
	w.start(t, name)
	if err := w.service.Stop(context.Background(), name, nil); err != nil {
		t.Error(err)
	}
	if err := w.service.Delete(context.Background(), name, false); err != nil {
		t.Error(err)
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// model is what must be true of one container.
type model struct {
	id      string
	running bool
	ran     bool // at least once
	code    int
	static  bool
}

// machine drives the service by random steps, restarts of patchbayd among them,
// and compares it with a model.
type machine struct {
	w      *world
	models map[string]*model
}

var names = []string{"one", "two"}

func (m *machine) pick(t *rapid.T) (string, *model) {
	name := rapid.SampledFrom(names).Draw(t, "name")
	return name, m.models[name]
}

// outcome compares an error with whether there had to be one.
func outcome(t *rapid.T, what string, err error, want bool) {
	if (err == nil) != want {
		t.Fatalf("%s: error %v, want success: %v", what, err, want)
	}
}

func (m *machine) Create(t *rapid.T) {
	name, c := m.pick(t)
	fixed := rapid.Bool().Draw(t, "static")
	template := resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a", "b")}
	if fixed {
		template.Networks = static("a", "10.0.0.7")
	}
	made, _, err := m.w.service.Create(context.Background(), name, nil, template)
	outcome(t, "create", err, c == nil)
	if err == nil {
		m.models[name] = &model{id: made.ID, static: fixed}
	}
}

func (m *machine) Start(t *rapid.T) {
	name, c := m.pick(t)
	_, err := m.w.service.Start(context.Background(), name, false)
	outcome(t, "start", err, c != nil && !c.running)
	if err == nil {
		c.running, c.ran = true, true
	}
}

func (m *machine) Stop(t *rapid.T) {
	name, c := m.pick(t)
	err := m.w.service.Stop(context.Background(), name, nil)
	outcome(t, "stop", err, c != nil)
	if err == nil && c.running {
		c.running, c.code = false, 143
	}
}

func (m *machine) Kill(t *rapid.T) {
	name, c := m.pick(t)
	err := m.w.service.Kill(context.Background(), name, "INT")
	outcome(t, "kill", err, c != nil && c.running)
	if err == nil {
		m.w.wait(t, name)
		c.running, c.code = false, 130
	}
}

func (m *machine) HelperDies(t *rapid.T) {
	name, c := m.pick(t)
	if c == nil || !c.running {
		t.Skip("nothing to die")
	}
	m.w.kill(t, name, syscall.SIGKILL)
	m.w.wait(t, name)
	c.running, c.code = false, 137
}

func (m *machine) Delete(t *rapid.T) {
	name, c := m.pick(t)
	force := rapid.Bool().Draw(t, "force")
	err := m.w.service.Delete(context.Background(), name, force)
	outcome(t, "delete", err, c != nil && (!c.running || force))
	if err == nil {
		delete(m.models, name)
	}
}

func (m *machine) RestartDaemon(t *rapid.T) { m.w.restart(t) }

// Check compares all that can be seen.
func (m *machine) Check(t *rapid.T) {
	list, err := m.w.service.List(context.Background(), true)
	if err != nil || len(list) != len(m.models) {
		t.Fatalf("%d containers, %v, want %d", len(list), err, len(m.models))
	}
	leases, reserved, helpers := 0, 0, 0
	for _, one := range list {
		c := one.Value
		want := m.models[c.Name]
		if want == nil || want.id != c.ID {
			t.Fatalf("container %s (%s) is not in the model", c.Name, c.ID)
		}
		state := resource.ContainerCreated
		switch {
		case want.running:
			state = resource.ContainerRunning
			helpers++
			leases += len(c.Configuration.Networks)
		case want.ran:
			state = resource.ContainerStopped
			if c.Status.ExitCode != want.code {
				t.Fatalf("%s: exit code %d, want %d", c.Name, c.Status.ExitCode, want.code)
			}
		}
		if c.Status.State != state {
			t.Fatalf("%s: state %s, want %s", c.Name, c.Status.State, state)
		}
		if want.static {
			reserved++
		}
	}
	m.w.settle(t)
	held := m.w.networks.held()
	for _, h := range held {
		if strings.HasPrefix(h, "reserved") {
			reserved--
		} else {
			leases--
		}
	}
	if leases != 0 || reserved != 0 {
		t.Fatalf("held: %v, which is %d leases and %d reservations too few", held, leases, reserved)
	}
	eventually(t, "as many helpers as containers that run", func() bool { return m.w.alive() == helpers })
}

func TestStateMachine(t *testing.T) {
	// Each step may start processes: fewer and shorter checks than the default.
	set(t, "rapid.checks", "40")
	set(t, "rapid.steps", "30")
	rapid.Check(t, func(t *rapid.T) {
		w, cleanup, err := makeWorld()
		if err != nil {
			t.Fatal(err)
		}
		defer cleanup()
		w.open(t)
		m := &machine{w: w, models: map[string]*model{}}
		t.Repeat(map[string]func(*rapid.T){
			"create": m.Create, "start": m.Start, "stop": m.Stop, "kill": m.Kill, "helper dies": m.HelperDies,
			"delete": m.Delete, "restart daemon": m.RestartDaemon, "": m.Check,
		})
	})
}

// set changes a flag unless the command line does.
func set(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}
