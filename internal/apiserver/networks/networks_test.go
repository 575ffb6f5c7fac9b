package networks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/store"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// patience is a safety net: no machine is so busy that what does not hang takes as long.
const patience = 5 * time.Minute

// bench is one instance with fake plugins, without a daemon around it.
type bench struct {
	t       *testing.T
	roots   layout.Roots
	plugins string // directory
	users   *fakeUsers
	db      *store.Store
	service *Service
}

type fakeUsers struct {
	mu         sync.Mutex
	containers map[string][]string // guarded by mu
}

func (u *fakeUsers) ContainersOn(id string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.containers[id]
}
func (u *fakeUsers) Reservations(string) []pluginwire.Reservation { return nil }

// installed is a directory of plugins.
type installed string

func (i installed) Network(name string) (manifest.Plugin, error) {
	return manifest.Find([]string{string(i)}, resource.PluginNetwork, name)
}

func newBench(t *testing.T, pluginNames ...string) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &bench{
		t:       t,
		roots:   layout.Roots{Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run")},
		plugins: filepath.Join(dir, "plugins"),
		users:   &fakeUsers{containers: map[string][]string{}},
	}
	for _, d := range []string{b.roots.Root, b.roots.RunRoot, b.plugins} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range pluginNames {
		b.install(name)
	}
	b.open()
	t.Cleanup(b.finish)
	return b
}

// install makes this test binary a plugin.
func (b *bench) install(name string) {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	folder := filepath.Join(b.plugins, name)
	text := fmt.Sprintf("name = %q\nkind = \"network\"\nprotocol = 1\nabstract = \"fake\"\ndefault-variant = \"a\"\n[variants.a]\nstrategy = \"bridge-port\"\n", name)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(folder, "bin"), 0o755),
		os.Symlink(self, filepath.Join(folder, "bin", name)),
		os.WriteFile(filepath.Join(folder, manifest.FileName), []byte(text), 0o644),
	); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open() {
	b.t.Helper()
	db, err := store.Open(b.roots.Database())
	if err != nil {
		b.t.Fatal(err)
	}
	records, err := store.NewCollection[resource.StoredNetwork](db, store.CollectionConfig{
		Name: "networks", Schema: resource.NetworkSchema, Migrate: resource.MigrateNetwork,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	addresses, err := store.NewCollection[addressing.Remembered](db, store.CollectionConfig{Name: "addresses", Schema: 1})
	if err != nil {
		b.t.Fatal(err)
	}
	b.db = db
	b.service, err = New(Config{
		Roots:        b.roots,
		Records:      records,
		Addresses:    addresses,
		Plugins:      installed(b.plugins),
		Default:      resource.PluginInfo{Plugin: "good"},
		ReadyTimeout: patience, StatusTimeout: patience, LeaseTimeout: patience,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.service.Start(b.users); err != nil {
		b.t.Fatal(err)
	}
}

// crash loses the service object as a crash of patchbayd would, plugins live on.
func (b *bench) crash() {
	b.t.Helper()
	b.service.Close()
	if err := b.db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) finish() {
	if err := b.service.StopAll(context.WithoutCancel(b.t.Context())); err != nil {
		b.t.Error(err)
	}
	b.crash()
	b.residue()
}

// residue fails if anything is on the host.
func (b *bench) residue(except ...string) {
	b.t.Helper()
	for _, d := range []string{filepath.Join(b.roots.RunRoot, "host"), b.roots.Networks()} {
		entries, err := os.ReadDir(d)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			b.t.Error(err)
		}
		for _, e := range entries {
			left := true
			for _, id := range except {
				left = left && e.Name() != id
			}
			if left {
				b.t.Errorf("left: %s/%s", d, e.Name())
			}
		}
	}
}

func (b *bench) create(name, plugin string) (resource.Network, error) {
	return b.service.Create(b.t.Context(), name, nil, resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: plugin}})
}

func (b *bench) mustCreate(name string) resource.Network {
	b.t.Helper()
	n, err := b.create(name, "good")
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// await waits until the network is as wanted.
func (b *bench) await(name string, want func(resource.NetworkStatus) bool) resource.Network {
	b.t.Helper()
	n, err := b.service.find(name)
	if err != nil {
		b.t.Fatal(err)
	}
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if now := n.snapshot(); want(now.Status) {
			return now
		}
		select {
		case <-changed:
		case <-deadline:
			b.t.Fatalf("network %s stays %+v", name, n.snapshot().Status)
		}
	}
}

func isReady(s resource.NetworkStatus) bool  { return s.State == resource.NetworkReady }
func isFailed(s resource.NetworkStatus) bool { return s.State == resource.NetworkFailed }

// defaultID is the id of the built-in network, which is always there.
func (b *bench) defaultID() string { return b.await("default", isReady).ID }

func TestCreateAndDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	if n.Status.State != resource.NetworkReady || n.Status.PluginPID == 0 || !n.Status.IPv4Subnet.IsValid() {
		t.Errorf("status %+v, want a ready network with a plugin process and a subnet", n.Status)
	}
	if want := (resource.PluginInfo{Plugin: "good", Variant: "a"}); n.Configuration.Plugin != want {
		t.Errorf("plugin %v, want %v", n.Configuration.Plugin, want)
	}
	for _, name := range []string{"a", n.ID, n.ID[:6]} {
		got, attachments, err := b.service.Get(t.Context(), name)
		if err != nil {
			t.Fatalf("get %s: %v", name, err)
		}
		if count := 0; got.ID != n.ID {
			t.Errorf("get %s: %+v, want network a", name, got)
		} else {
			for _, err := range attachments {
				count++
				if err != nil {
					t.Error(err)
				}
			}
			if count != 1 {
				t.Errorf("get %s: %d attachments, want one", name, count)
			}
		}
	}
	if err := b.service.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	b.residue(b.defaultID())
	if _, _, err := b.service.Get(t.Context(), "a"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("get after delete: %v, want not found", err)
	}
	if err := syscall.Kill(n.Status.PluginPID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("plugin process %d: %v, want it gone", n.Status.PluginPID, err)
	}
	b.mustCreate("a")
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	for plugin, want := range map[string]struct {
		text string
		kind error
	}{
		"dies":         {"no such parent: eth7", errdefs.ErrUnavailable},
		"hangs":        {"did not answer in time", errdefs.ErrUnavailable},
		"garbage":      {"plugin garbage", errdefs.ErrUnavailable},
		"newer":        {"speaks protocol 7 to 9, want 1 to 1", errdefs.ErrFailedPrecondition},
		"refuses":      {`option "colour"`, errdefs.ErrInvalidArgument},
		"diesinstart":  {"out of bridges", errdefs.ErrUnavailable},
		"hangsinstart": {"did not answer in time", errdefs.ErrUnavailable},
		"nonsense":     {`ipv4 subnet "ten dot something"`, errdefs.ErrInternal},
		"absent":       {"want one of good", errdefs.ErrNotFound},
	} {
		t.Run(plugin, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "good")
			if plugin != "absent" {
				b.install(plugin)
			}
			id, ctx := b.defaultID(), t.Context()
			switch plugin {
			case "hangs": // nobody else has to answer in that time
				b.service.config.ReadyTimeout = 100 * time.Millisecond
			case "hangsinstart": // who takes its network off the host has to, in its time
				ctx = b.untilArrival("hang")
			}
			_, err := b.service.Create(ctx, "a", nil, resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: plugin}})
			if err == nil || !strings.Contains(err.Error(), want.text) || !errors.Is(err, want.kind) {
				t.Errorf("got %v (%v), want %q (%v)", err, wire.Kind(err), want.text, want.kind)
			}
			b.residue(id)
			b.service.config.ReadyTimeout = patience
			b.mustCreate("a") // the name is free again
		})
	}
}

// untilArrival is a context whose deadline passes when a plugin arrives at a gate.
func (b *bench) untilArrival(gate string) context.Context {
	passed := make(chan struct{})
	at := b.gate(gate)
	go func() {
		at.await(1)
		close(passed)
	}()
	return deadline{b.t.Context(), passed}
}

// deadline is a context whose deadline passes when a channel is closed.
type deadline struct {
	context.Context
	passed <-chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestHangingPluginDelaysNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good", "hangs")
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan error)
	go func() {
		_, err := b.service.Create(ctx, "h", nil, resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: "hangs"}})
		hung <- err
	}()
	b.mustCreate("a")
	b.service.List(t.Context())
	if err := b.service.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	select {
	case err := <-hung:
		t.Errorf("hanging creation ended (%v), want it to hang on", err)
	default:
	}
	cancel()
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled creation: %v, want canceled", err)
	}
}

func TestParallelCreationsGetDisjointSubnets(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	var wg sync.WaitGroup
	got := make([]resource.Network, 6)
	for i := range got {
		wg.Go(func() {
			n, err := b.create(fmt.Sprintf("n%d", i), "good")
			if err != nil {
				t.Error(err)
			}
			got[i] = n
		})
	}
	wg.Wait()
	b.defaultID()
	seen := map[netip.Prefix]string{}
	for _, one := range b.service.List(t.Context()) {
		n := one.Value
		if other, ok := seen[n.Status.IPv4Subnet]; ok {
			t.Errorf("networks %s and %s both have %v", n.Name, other, n.Status.IPv4Subnet)
		}
		seen[n.Status.IPv4Subnet] = n.Name
	}
}

func TestStubbornChoiceIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good", "stubborn")
	b.defaultID() // has 10.200.0.0/24
	if _, err := b.create("s", "stubborn"); err == nil || !strings.Contains(err.Error(), "overlaps network default (10.200.0.0/24)") {
		t.Errorf("got %v, want the overlap with default", err)
	}
}

func TestCreateReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	b.defaultID()
	_, err := b.service.Create(t.Context(), "Bad Name", map[string]string{"": "x"}, resource.NetworkConfiguration{
		Plugin:     resource.PluginInfo{Plugin: "good", Variant: "blue"},
		IPv4Subnet: netip.MustParsePrefix("10.200.0.0/16"),
		IPv6Subnet: netip.MustParsePrefix("fd00::1/64"),
		MTU:        7,
	})
	if !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Fatalf("got %v, want an invalid argument", err)
	}
	for _, want := range []string{
		`network name "Bad Name"`, `label ""`, `plugin variant "blue": plugin good has a`,
		"ipv6 subnet fd00::1/64: has host bits set", "mtu 7: want 68 to 65535", "overlaps network default (10.200.0.0/24)",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if _, err := b.create("default", "good"); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("second default: %v, want already exists", err)
	}
}

// stop stops a child of this process and returns when it stands still.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := errors.Join(unix.Kill(pid, unix.SIGSTOP), unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
}

// observeBeside gives plugins ever more time for an answer, until all have answered but that of
// one network, which hangs.
func (b *bench) observeBeside(hung string) []Observation {
	b.t.Helper()
	limit := &b.service.config.StatusTimeout
	defer func() { *limit = patience }()
	for *limit = 50 * time.Millisecond; *limit < patience; *limit *= 2 {
		all := b.service.Observe(b.t.Context())
		if !slices.ContainsFunc(all, func(o Observation) bool { return !o.Answered && o.Network.Value.Name != hung }) {
			return all
		}
	}
	b.t.Fatalf("plugins do not answer beside that of network %s", hung)
	return nil
}

func TestDeadPluginIsStartedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	if err := syscall.Kill(n.Status.PluginPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := b.await("a", func(s resource.NetworkStatus) bool { return isReady(s) && s.PluginPID != n.Status.PluginPID })
	if again.Status.IPv4Subnet != n.Status.IPv4Subnet {
		t.Errorf("subnet %v after the restart, want %v", again.Status.IPv4Subnet, n.Status.IPv4Subnet)
	}
	b.await("default", isReady)
	for _, o := range b.service.Observe(t.Context()) {
		if want := map[string]uint64{"a": 1, "default": 0}[o.Network.Value.Name]; o.Restarts != want || !o.Answered {
			t.Errorf("network %s: %d restarts, answered %v, want %d and true", o.Network.Value.Name, o.Restarts, o.Answered, want)
		}
	}
	stop(t, again.Status.PluginPID)
	for _, o := range b.observeBeside("a") {
		n := o.Network.Value
		if hangs := n.Name == "a"; o.Answered == hangs || !n.Status.Serves() || (n.Status.State == resource.NetworkDegraded) != hangs {
			t.Errorf("network %s: answered %v, %s", n.Name, o.Answered, n.Status.State)
		}
	}
	if err := syscall.Kill(again.Status.PluginPID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	builtIn, a := b.await("default", isReady), b.mustCreate("a")

	one, err := b.service.Restart(t.Context(), "a")
	if err != nil || one.Resource != "a" || one.PID == a.Status.PluginPID || one.State != string(resource.NetworkReady) {
		t.Errorf("restart: %+v, %v, want another process than %d", one, err, a.Status.PluginPID)
	}
	if now := b.await("a", isReady).Status; now.IPv4Subnet != a.Status.IPv4Subnet {
		t.Errorf("subnet %v after the restart, want %v", now.IPv4Subnet, a.Status.IPv4Subnet)
	}
	if now := b.await("default", isReady); now.Status.PluginPID != builtIn.Status.PluginPID {
		t.Errorf("another network got process %d, want %d still", now.Status.PluginPID, builtIn.Status.PluginPID)
	}
	all, err := b.service.RestartPlugin(t.Context(), "good")
	if err != nil || len(all) != 2 || all[0].PID == builtIn.Status.PluginPID || all[1].PID == one.PID {
		t.Errorf("restart of the plugin: %+v, %v, want two new processes", all, err)
	}
	if all, err := b.service.RestartPlugin(t.Context(), "other"); err != nil || len(all) != 0 {
		t.Errorf("restart of a plugin without networks: %+v, %v", all, err)
	}
	if _, err := b.service.Restart(t.Context(), "none"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("restart of no network: %v, want not found", err)
	}
}

func TestRestartsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	a := b.mustCreate("a")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if one, err := b.service.Restart(t.Context(), "a"); err != nil || one.PID == a.Status.PluginPID {
				t.Errorf("restart: %+v, %v", one, err)
			}
		})
	}
	all.Wait()
	b.await("a", isReady)
}

func TestRestartOfWhatCannotStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	b.defaultID()
	a := b.mustCreate("a")
	program := filepath.Join(b.plugins, "good", "bin", "good")

	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if _, err := b.service.Restart(t.Context(), "a"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("restart of a plugin without a program: %v, want it refused", err)
	}
	if now := b.await("a", isReady); now.Status.PluginPID != a.Status.PluginPID {
		t.Errorf("process %d after a refusal, want %d still", now.Status.PluginPID, a.Status.PluginPID)
	}

	if err := os.WriteFile(program, []byte("#!/bin/sh\necho 'no such parent: eth7' >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also of one that is failed already
		_, err := b.service.Restart(t.Context(), "a")
		if !errors.Is(err, errdefs.ErrUnavailable) || !strings.Contains(err.Error(), "network a: plugin good: ") || !strings.Contains(err.Error(), "no such parent: eth7") {
			t.Errorf("restart of a program that dies: %v, want its words", err)
		}
		if s := b.await("a", isFailed).Status; !strings.Contains(s.Message, "no such parent: eth7") {
			t.Errorf("status %+v, want the words of the program", s)
		}
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	if now := b.await("a", isReady).Status; now.IPv4Subnet != a.Status.IPv4Subnet { // without being asked
		t.Errorf("subnet %v, want %v", now.IPv4Subnet, a.Status.IPv4Subnet)
	}
}

func TestLivePluginIsAdopted(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	b.crash()
	b.open()
	if again := b.await("a", isReady); again.Status.PluginPID != n.Status.PluginPID || again.Status.IPv4Subnet != n.Status.IPv4Subnet {
		t.Errorf("status %+v after the crash, want the same process as %+v", again.Status, n.Status)
	}
}

func TestSubnetsStayOverReboot(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	b.defaultID()
	first, second := b.mustCreate("a"), b.mustCreate("b")
	if err := b.service.Delete(t.Context(), "a"); err != nil { // its subnet would be chosen now
		t.Fatal(err)
	}
	if err := b.service.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.crash()
	b.residue()
	b.open()
	if again := b.await("b", isReady); again.Status.IPv4Subnet != second.Status.IPv4Subnet {
		t.Errorf("subnet %v after the reboot, want %v, not %v", again.Status.IPv4Subnet, second.Status.IPv4Subnet, first.Status.IPv4Subnet)
	}
}

func TestStopAllDuringAStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	b.defaultID() // it is not the one that starts again
	gate := filepath.Join(b.roots.RunRoot, "host", "be-late")
	if err := errors.Join(
		syscall.Mkfifo(gate, 0o600),
		syscall.Kill(n.Status.PluginPID, syscall.SIGKILL),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(gate); err != nil { // ends when the network is being started again
		t.Fatal(err)
	}
	if err := b.service.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.residue()
}

func TestDeleteIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	refused := func(name, want string) {
		t.Helper()
		if err := b.service.Delete(t.Context(), name); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), want) {
			t.Errorf("delete %s: %v, want %q", name, err, want)
		}
	}
	refused("default", "built in")
	release, err := b.service.Use([]string{n.ID})
	if err != nil {
		t.Fatal(err)
	}
	refused("a", "being made")
	release()
	b.users.mu.Lock()
	b.users.containers[n.ID] = []string{"web", "db"}
	b.users.mu.Unlock()
	refused("a", "is in use by db, web; disconnect or delete them first")
	if deleted, err := b.service.Prune(t.Context()); err != nil || len(deleted) != 0 {
		t.Errorf("prune: %v, %v, want nothing deleted", deleted, err)
	}
	b.users.mu.Lock()
	delete(b.users.containers, n.ID)
	b.users.mu.Unlock()
	if deleted, err := b.service.Prune(t.Context()); err != nil || len(deleted) != 1 || deleted[0] != "a" {
		t.Errorf("prune: %v, %v, want a", deleted, err)
	}
	if _, err := b.service.Use([]string{n.ID}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("use of a deleted network: %v, want not found", err)
	}
}

func TestCrashedCreationIsSwept(t *testing.T) {
	t.Parallel()
	for _, plugin := range []string{"alive", "dead"} {
		t.Run(plugin, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "good")
			n := b.mustCreate("a")
			if err := b.service.config.Records.Delete(n.ID); err != nil { // as if it had not been stored yet
				t.Fatal(err)
			}
			b.crash()
			if plugin == "dead" {
				if err := syscall.Kill(n.Status.PluginPID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			b.open()
			id := b.defaultID()
			b.service.mending.Wait()
			b.residue(id)
			if _, err := b.service.Resolve("a"); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("resolve: %v, want not found", err)
			}
		})
	}
}

func TestInterruptedDeletionIsFinished(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	of, err := b.service.find("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := of.markDeleting(); err != nil {
		t.Fatal(err)
	}
	b.crash()
	b.open()
	id := b.defaultID()
	if _, err := b.service.Resolve(n.ID); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("resolve: %v, want not found", err)
	}
	b.service.mending.Wait()
	b.residue(id)
	if records, err := b.service.config.Records.List(); err != nil || len(records) != 1 {
		t.Errorf("records %+v, %v, want that of default alone", records, err)
	}
}

func TestAllocate(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	wish := resource.AttachmentConfiguration{Network: n.ID, InterfaceName: "lan0", GatewayPriority: 3}
	got, err := b.service.Allocate(t.Context(), n.ID, "0123456789abcdef/0", "web", wish)
	if err != nil {
		t.Fatal(err)
	}
	if got.Strategy != "bridge-port" || got.Lease.Socket != b.roots.PluginSocket(n.ID) || got.Lease.Key != "0123456789abcdef/0" ||
		got.Attachment.Network != "a" || got.Attachment.InterfaceName != "lan0" || got.Attachment.GatewayPriority != 3 || got.Plugin.Plugin != "good" {
		t.Errorf("got %+v", got)
	}
	wish.Hostname = "nonsense"
	if _, err := b.service.Allocate(t.Context(), n.ID, "k", "web", wish); !errors.Is(err, errdefs.ErrInternal) || !strings.Contains(err.Error(), "answered garbage") {
		t.Errorf("garbage: %v, want it called that", err)
	}
	if err := b.service.Release(t.Context(), "gone", "k", true); err != nil {
		t.Errorf("release on a network that is gone: %v, want nil", err)
	}
}

// What is refused for the sake of a lease that is being given up is granted when that is over.
func TestDepartures(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	taken := filepath.Join(b.roots.RunRoot, "host", n.ID+"-taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	allocate := func() error {
		_, err := b.service.Allocate(t.Context(), n.ID, "k", "next", resource.AttachmentConfiguration{})
		return err
	}
	refused := func(when string) {
		t.Helper()
		if err := allocate(); !errors.Is(err, errdefs.ErrAlreadyExists) {
			t.Errorf("%s: %v, want it refused", when, err)
		}
	}
	refused("nobody is leaving")
	over, ok := b.service.Depart(n.ID)
	if !ok {
		t.Fatal("a network of bridge ports lets nobody wait")
	}
	before := b.questions()
	done := make(chan error, 1)
	go func() { done <- allocate() }()
	for deadline := time.Now().Add(patience); b.questions() == before; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the plugin was not asked")
		}
	}
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	inspected := make(chan error, 1)
	go func() { _, _, err := b.service.Get(t.Context(), "a"); inspected <- err }()
	select {
	case err := <-done:
		t.Fatalf("allocate: %v, before the lease was given up", err)
	case err := <-inspected:
		t.Fatalf("get: %v, before the lease was given up", err)
	case <-time.After(20 * time.Millisecond): // they can only pass too easily
	}
	over()
	if err := errors.Join(<-done, <-inspected); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("nobody is leaving any more")
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.service.Depart("gone"); ok {
		t.Error("leases of a network that is gone are waited for")
	}
}

// A network that takes something of the host's has given it back when it is told.
func TestNoDepartures(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	for _, strategy := range []string{resource.StrategyHostDevice, resource.StrategyDelegated} {
		file := filepath.Join(b.plugins, "good", manifest.FileName)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := regexp.MustCompile(`strategy = ".*"`).ReplaceAll(text, []byte(fmt.Sprintf("strategy = %q", strategy)))
		if err := os.WriteFile(file, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.service.Depart(n.ID); ok {
			t.Errorf("%s: leases are waited for", strategy)
		}
	}
}

// A plugin is spoken to as the manifest of its running program says, and the lease
// tells the sandbox.
func TestCodecOfTheManifest(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	file := filepath.Join(b.plugins, "good", manifest.FileName)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	allocated := func(when string, want resource.Codec) {
		t.Helper()
		got, err := b.service.Allocate(t.Context(), b.await("a", isReady).ID, "0123456789abcdef/0", "web", resource.AttachmentConfiguration{})
		if err != nil || got.Lease.Codec != want {
			t.Errorf("%s: codec %q, %v, want %q", when, got.Lease.Codec, err, want)
		}
	}
	b.mustCreate("a")
	allocated("without a word of it", resource.CodecProto)
	if err := os.WriteFile(file, append([]byte("codec = \"json\"\n"), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	allocated("before the restart", resource.CodecProto)
	if _, err := b.service.Restart(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	allocated("after the restart", resource.CodecJSON)
	b.crash()
	b.open()
	allocated("adopted by the next patchbayd", resource.CodecJSON)
}

func TestAllocateOutlivesDeathOfPlugin(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	n := b.mustCreate("a")
	if err := os.WriteFile(filepath.Join(b.roots.RunRoot, "host", "die-in-allocate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.service.Allocate(t.Context(), n.ID, "k", "web", resource.AttachmentConfiguration{}); err != nil {
		t.Error(err)
	}
	if again := b.await("a", isReady); again.Status.PluginPID == n.Status.PluginPID {
		t.Error("the plugin did not die")
	}
}

// A plugin that tells what is new is asked once, and then in turn with others; one that tells all is not even asked once,
// and what a call changes is known from its answer.
func TestListAsksWhereSomethingIsNotKnown(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string][]int{"counts": {4, 1, 1}, "tells": {1, 1, 1}} {
		b := newBench(t, "good", behaviour)
		b.defaultID()
		b.service.rounds = inturn.NewRounds(1, func(round func()) { round() })
		for i := range 4 {
			n, err := b.create(fmt.Sprint("n", i), behaviour)
			if err != nil {
				t.Fatal(err)
			}
			b.await(n.Name, func(s resource.NetworkStatus) bool { return s.Message == "told" })
			if behaviour == "tells" {
				if _, err := b.service.Allocate(t.Context(), n.ID, "k", "web", resource.AttachmentConfiguration{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, want := range want {
			before := b.questions()
			all := b.service.List(t.Context())
			if len(all) != 5 || all[1].Value.Status.AddressesTotal != 253 {
				t.Errorf("%s: list: %+v, want all networks with what they told", behaviour, all)
			}
			if now := all[4].Value.Status; behaviour == "tells" && now.AddressesInUse != 7 {
				t.Errorf("%d addresses are in use after an allocation, want what its answer tells, 7", now.AddressesInUse)
			}
			if got := b.questions() - before; got != want {
				t.Errorf("%s: a list asked %d times, want %d", behaviour, got, want)
			}
		}
	}
}

// questions counts how often plugins that count were asked for their status.
func (b *bench) questions() (total int) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.roots.RunRoot, "host-questions-*"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			b.t.Fatal(err)
		}
		total += int(info.Size())
	}
	return total
}

// A network is described anew to lists when something of it has changed.
func TestListKeepsWhatHasNotChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	b.defaultID()
	b.mustCreate("a")
	b.await("a", isReady)
	list := func() (a, other *snapshot.Of[resource.Network]) {
		t.Helper()
		all := b.service.List(t.Context())
		if len(all) != 2 {
			t.Fatalf("%d networks, want 2", len(all))
		}
		return all[1], all[0]
	}
	b.await("default", isReady)
	list() // it asks what is not known
	a, other := list()
	if again, otherAgain := list(); again != a || otherAgain != other {
		t.Error("networks that are as they were are described anew")
	}
	if _, err := b.service.Update(t.Context(), "a", resource.NetworkChange{Labels: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	again, otherAgain := list()
	if again == a || again.Value.Labels["k"] != "v" || otherAgain != other {
		t.Errorf("after another label of a: %v, and the other one is described anew: %v", again.Value.Labels, otherAgain != other)
	}
}

func TestHungPluginShowsInList(t *testing.T) {
	t.Parallel()
	b := newBench(t, "good")
	b.defaultID()
	n := b.mustCreate("a")
	stop(t, n.Status.PluginPID)
	states := map[string]resource.NetworkStatus{}
	for _, o := range b.observeBeside("a") {
		states[o.Network.Value.Name] = o.Network.Value.Status
	}
	if s := states["a"]; s.State != resource.NetworkDegraded || s.Message != "its plugin does not answer" || s.IPv4Subnet != n.Status.IPv4Subnet {
		t.Errorf("hung network: %+v", s)
	}
	if s := states["default"]; s.State != resource.NetworkReady {
		t.Errorf("other network: %+v", s)
	}
	if err := syscall.Kill(n.Status.PluginPID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, _, err := b.service.Get(t.Context(), "a"); err != nil || got.Status.State != resource.NetworkReady {
		t.Errorf("after it goes on: %+v, %v", got.Status, err)
	}
}

func TestBuiltInWaitsForItsPlugin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	failed := b.await("default", isFailed)
	if !failed.Status.BuiltIn || !strings.Contains(failed.Status.Message, `network plugin "good": want one in`) {
		t.Errorf("status %+v, want the missing plugin named", failed.Status)
	}
	if _, err := b.service.Allocate(t.Context(), failed.ID, "k", "web", resource.AttachmentConfiguration{}); err == nil {
		t.Error("allocation on a failed network succeeds")
	}
	b.install("good")
	b.await("default", isReady)
	if records, err := b.service.config.Records.List(); err != nil || records[0].Configuration.Plugin.Variant != "a" {
		t.Errorf("records %+v, %v, want the variant stored", records, err)
	}
}
