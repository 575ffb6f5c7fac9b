package containers_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// patience is a safety net: no machine is so busy that what does not hang takes as long.
const patience = 5 * time.Minute

// world is an instance without its neighbours: what is in it outlives its
// service, as the disk, the plugins and the helpers outlive patchbayd.
type world struct {
	roots    layout.Roots
	records  *fakeRecords
	images   *fakeImages
	networks *fakeNetworks
	config   containers.Config

	service *containers.Service

	mu        sync.Mutex
	processes []*helper.Process // guarded by mu
}

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w, cleanup, err := makeWorld()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	w.open(t)
	return w
}

func makeWorld() (*world, func(), error) {
	// Not t.TempDir: its paths are too long for sockets.
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		return nil, nil, err
	}
	w := &world{
		roots:    layout.Roots{Root: filepath.Join(dir, "state"), RunRoot: filepath.Join(dir, "run")},
		records:  &fakeRecords{stored: map[string]record.Container{}},
		images:   newFakeImages(),
		networks: newFakeNetworks(),
	}
	w.config = containers.Config{
		Roots: w.roots, Records: w.records, Images: w.images, Networks: w.networks, Runtimes: fakeRuntimes{},
		DefaultRuntime: "good",
		Launch:         w.launch,
		Log:            slog.New(slog.DiscardHandler),
		ReadyTimeout:   patience, StartTimeout: patience, StatusTimeout: patience, StatsTimeout: patience,
		ChangeTimeout: patience, GraceTimeout: patience,
	}
	cleanup := func() {
		if w.service != nil {
			w.service.Close()
		}
		w.mu.Lock()
		processes := w.processes
		w.mu.Unlock()
		for _, p := range processes {
			p.Kill()
		}
		os.RemoveAll(dir)
	}
	return w, cleanup, nil
}

// launch starts a helper without namespaces, for tests need no root.
func (w *world) launch(c helper.Config) (*helper.Process, error) {
	c.Isolate = false
	c.Environment = append(c.Environment, manner+"="+c.Name[len("patchbay-runtime-"):],
		"GORACE=atexit_sleep_ms=0") // else a helper takes a second to end in a race test
	p, err := helper.Start(c)
	if err == nil {
		w.mu.Lock()
		w.processes = append(w.processes, p)
		w.mu.Unlock()
	}
	return p, err
}

// alive counts the helpers that live.
func (w *world) alive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.processes {
		select {
		case <-p.Done():
		default:
			n++
		}
	}
	return n
}

func (w *world) open(t tb) {
	t.Helper()
	if err := os.MkdirAll(w.roots.Newcomers(), 0o700); err != nil { // as patchbayd does
		t.Fatal(err)
	}
	s, err := containers.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	w.service = s
}

// restart is that of patchbayd.
func (w *world) restart(t tb) {
	t.Helper()
	w.service.Close()
	w.open(t)
}

// impatient restarts patchbayd as one that has little patience where a limit of its configuration
// bounds it. What is asked of helpers that do not hang must not lose by that: it is bounded by
// another limit, or is asked as often as it takes.
func (w *world) impatient(t tb, limits ...*time.Duration) {
	t.Helper()
	w.service.Close()
	for _, limit := range limits {
		*limit = 100 * time.Millisecond
	}
	w.open(t)
}

// files lists all below the roots, when nothing is left of the runs that have ended.
func (w *world) files(t tb) []string {
	t.Helper()
	w.settle(t)
	var out []string
	for _, root := range []string{w.roots.Root, w.roots.RunRoot} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && path != root {
				out = append(out, path[len(filepath.Dir(w.roots.Root)):])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.DeleteFunc(out, func(p string) bool {
		return slices.Contains([]string{"/state/containers", "/run/sandboxes", "/run/newcomers"}, p)
	})
}

// create makes a container whose main process is a word that fake knows.
func (w *world) create(t tb, name string, args ...string) string {
	t.Helper()
	return w.createFrom(t, name, resource.ContainerTemplate{Image: "box", Command: args, Networks: on("a", "b")})
}

func (w *world) createFrom(t tb, name string, template resource.ContainerTemplate) string {
	t.Helper()
	c, _, err := w.service.Create(context.Background(), name, nil, template)
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func on(networks ...string) []resource.AttachmentConfiguration {
	out := make([]resource.AttachmentConfiguration, len(networks))
	for i, n := range networks {
		out[i].Network = n
	}
	return out
}

func (w *world) start(t tb, name string) {
	t.Helper()
	if _, err := w.service.Start(context.Background(), name, false); err != nil {
		t.Fatal(err)
	}
}

func (w *world) status(t tb, name string) resource.ContainerStatus {
	t.Helper()
	c, err := w.service.Get(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Status
}

// wait waits for the end of a container, and not for ever.
func (w *world) wait(t tb, name string) resource.ContainerExit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	exit, err := w.service.Wait(ctx, name, false)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

// settle waits until nothing is left of the runs that have ended.
func (w *world) settle(t tb) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w.service.AwaitLeft(ctx)
	if ctx.Err() != nil {
		t.Fatal("a run has ended, and something is left of it")
	}
}

// eventually is for what no call waits for.
func eventually(t tb, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen within %v: %s", patience, what)
		}
	}
}

// fakeRecords keeps records in memory.
type fakeRecords struct {
	mu     sync.Mutex
	stored map[string]record.Container
	fail   error        // of Put
	meet   func()       // is called by Put; nil: none
	stuck  error        // of Delete
	full   func() error // of Delete too; nil: never
	tight  bool         // there is little room
}

func (f *fakeRecords) Roomy() bool { return !f.tight }

func (f *fakeRecords) List() ([]record.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.stored)), nil
}

// all returns what is stored, by id.
func (f *fakeRecords) all() map[string]record.Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.stored)
}

// set stores a record that patchbayd did not write.
func (f *fakeRecords) set(id string, s record.Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored[id] = s
}

func (f *fakeRecords) Put(id string, s record.Container) error {
	if f.meet != nil {
		f.meet()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.stored[id] = s
	return nil
}

func (f *fakeRecords) Delete(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full != nil {
		if err := f.full(); err != nil {
			return err
		}
	}
	if f.stuck != nil {
		return f.stuck
	}
	delete(f.stored, id)
	return nil
}

type fakeRuntimes struct{}

// Runtime knows "good" and some that are not.
func (fakeRuntimes) Runtime(name string) (manifest.Plugin, error) {
	p := manifest.Plugin{Binary: os.Args[0]}
	p.Name, p.Strategies = name, []string{resource.StrategyBridgePort, resource.StrategyMacvlan}
	switch name {
	case "missing":
		p.Binary = "/nonexistent/runtime"
	case "poor":
		p.Strategies = []string{resource.StrategyMacvlan}
	case "good", "dies", "hangs", "future", "old":
	default:
		return manifest.Plugin{}, fmt.Errorf("runtime plugin %q: not found, there is good: %w", name, errdefs.ErrNotFound)
	}
	return p, nil
}

// fakeImages has the image "box" and counts who uses it.
type fakeImages struct {
	mu   sync.Mutex
	run  resource.ImageRunConfiguration
	uses int
	fail error // of Layers
}

func newFakeImages() *fakeImages { return &fakeImages{} }

const boxDigest = "sha256:b0c5"

func (f *fakeImages) Resolve(_ context.Context, name string) (resource.Image, error) {
	if name != "box" {
		return resource.Image{}, fmt.Errorf("image %s: not found; pull it with \"patchbay image pull %s\": %w", name, name, errdefs.ErrNotFound)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return resource.Image{Configuration: resource.ImageConfiguration{Digest: boxDigest, Run: f.run}}, nil
}

func (f *fakeImages) Layers(string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []string{"/layers/2", "/layers/1"}, f.fail
}

func (f *fakeImages) Use(string) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.uses--
	}), nil
}

// fakeNetworks has the networks "default", "a", "b" and "m" (of a plugin whose
// strategy is macvlan). Leases are never held: who is gone must release.
type fakeNetworks struct {
	mu       sync.Mutex
	leases   map[string]bool // network + " " + key
	reserved map[string]pluginwire.Reservation
	uses     int
	fail     map[string]error // Allocate and Reserve, by network
	down     map[string]error // Release, by network
	states   map[string]resource.NetworkState
	demands  map[string]string // runtimes, by network
	dns      resource.DNSConfiguration
	barrier  *sync.WaitGroup // Allocate meets here
	released int             // calls of Release
	meet     func()          // is called by Release; nil: none
	leaving  int             // departures
}

func newFakeNetworks() *fakeNetworks {
	return &fakeNetworks{
		leases: map[string]bool{}, reserved: map[string]pluginwire.Reservation{},
		fail: map[string]error{}, down: map[string]error{}, states: map[string]resource.NetworkState{},
	}
}

func (f *fakeNetworks) Resolve(name string) (resource.Network, error) {
	if !slices.Contains([]string{"default", "a", "b", "m", "id-default", "id-a", "id-b", "id-m"}, name) {
		return resource.Network{}, fmt.Errorf("network %q: not found, there is a, b, default, m: %w", name, errdefs.ErrNotFound)
	}
	if name[:min(3, len(name))] == "id-" {
		name = name[3:]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := resource.Network{Metadata: resource.Metadata{ID: "id-" + name, Name: name}}
	n.Configuration.Plugin = resource.PluginInfo{Plugin: "bridge", Variant: "nat"}
	n.Status.State = f.states[name]
	if runtime := f.demands[name]; runtime != "" {
		n.Labels = map[string]string{resource.RuntimeLabel: runtime}
	}
	return n, nil
}

func (f *fakeNetworks) Use(ids []string) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.uses--
	}), nil
}

func (f *fakeNetworks) Strategy(id string) (string, error) {
	if id == "id-m" {
		return resource.StrategyMacvlan, nil
	}
	return resource.StrategyBridgePort, nil
}

func (f *fakeNetworks) Allocate(ctx context.Context, id, key, owner string, wish resource.AttachmentConfiguration) (resource.AllocatedAttachment, error) {
	f.mu.Lock()
	barrier := f.barrier
	f.mu.Unlock()
	if barrier != nil {
		barrier.Done()
		barrier.Wait()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail[id[3:]]; err != nil {
		return resource.AllocatedAttachment{}, err
	}
	f.leases[id+" "+key] = true
	return resource.AllocatedAttachment{
		Attachment: resource.Attachment{
			NetworkID: id, Network: id[3:], Hostname: wish.Hostname, InterfaceName: wish.InterfaceName,
			IPv4Address: netip.MustParsePrefix("10.0.0.2/24"), DNS: f.dns,
		},
		Strategy: resource.StrategyBridgePort,
		Lease:    resource.LeaseReference{Key: key, Socket: "/run/" + id},
	}, nil
}

func (f *fakeNetworks) Release(_ context.Context, id, key string, forget bool) error {
	if f.meet != nil {
		f.meet()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released++
	if err := f.down[id[3:]]; err != nil {
		return err
	}
	delete(f.leases, id+" "+key)
	if forget {
		delete(f.reserved, id+" "+key)
	}
	return nil
}

func (f *fakeNetworks) Reserve(_ context.Context, id string, r pluginwire.Reservation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail[id[3:]]; err != nil {
		return err
	}
	f.reserved[id+" "+r.Key] = r
	return nil
}

// Depart is not for the network "m", which stands for those by which the host has something back.
func (f *fakeNetworks) Depart(id string) (func(), bool) {
	if id == "id-m" {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaving++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.leaving--
	}), true
}

// held tells all that is allocated, reserved or in use.
func (f *fakeNetworks) releases() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.released
}

func (f *fakeNetworks) held() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Collect(maps.Keys(f.leases))
	for key := range f.reserved {
		out = append(out, "reserved "+key)
	}
	if f.uses > 0 {
		out = append(out, "in use")
	}
	if f.leaving > 0 {
		out = append(out, "leaving")
	}
	slices.Sort(out)
	return out
}
