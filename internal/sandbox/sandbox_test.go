package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/sandbox/hold"
	"patchbay.dev/patchbay/internal/sandbox/hold/holdtest"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/resource"
)

// fakeEngine notes what it is asked to do, and fails where it is told to.
type fakeEngine struct {
	mu         sync.Mutex
	calls      []string // guarded by mu
	fail       string
	main       *fakeProcess
	dir        string        // where exit.json must be before Free
	early      bool          // Free came without it
	stays      chan struct{} // until it is closed Destroy does not end; nil: it does at once
	destroying func()        // is called when Destroy begins; nil: nothing is
}

var errFake = fmt.Errorf("fake: %w", errdefs.ErrResourceExhausted)

func (e *fakeEngine) call(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, name)
	if e.fail == name {
		return errFake
	}
	return nil
}

func (e *fakeEngine) Isolate(context.Context) (string, error) {
	return "/proc/1/fd/9", e.call("isolate")
}

func (e *fakeEngine) Prepare(_ context.Context, c Configuration) error {
	return errors.Join(e.call("prepare"), write(c))
}

func write(c Configuration) error {
	_, err := c.Stdout.Write([]byte("line\n"))
	return err
}

// Rewrite comes when there is something to be written anew, and before Destroy.
func (e *fakeEngine) Rewrite(c Configuration) error {
	return e.call("rewrite " + strconv.Itoa(len(c.Attachments)))
}

func (e *fakeEngine) Plug(context.Context, []wiring.Interface) error { return e.call("plug") }

func (e *fakeEngine) Errand() []string { return []string{"warm"} }

func (e *fakeEngine) Create(context.Context) (MainProcess, error) {
	if err := e.call("create"); err != nil {
		return nil, err
	}
	return e.main, nil
}

func (e *fakeEngine) Exec(_ context.Context, name string, _ ExecConfiguration) (Process, error) {
	if err := e.call(name); err != nil {
		return nil, err
	}
	p := newFakeProcess()
	go func() { // ends with the main one
		<-e.main.done
		p.end(137)
	}()
	return p, nil
}

func (e *fakeEngine) Free(context.Context) error {
	if _, err := os.Stat(filepath.Join(e.dir, ExitFile)); err != nil {
		e.early = true
	}
	return e.call("free")
}

func (e *fakeEngine) Destroy(context.Context) error {
	if e.destroying != nil {
		e.destroying()
	}
	if e.stays != nil {
		<-e.stays
	}
	return e.call("destroy")
}

type fakeProcess struct {
	hub  *stdio.Hub
	done chan struct{}
	end  func(code int)
	code int
}

func newFakeProcess() *fakeProcess {
	p := &fakeProcess{hub: stdio.NewHub(stdio.HubConfig{}), done: make(chan struct{})}
	var once sync.Once
	p.end = func(code int) {
		once.Do(func() {
			p.code = code
			close(p.done)
		})
	}
	return p
}

func (p *fakeProcess) PID() int                         { return 42 }
func (p *fakeProcess) Resize(uint16, uint16) error      { return nil }
func (p *fakeProcess) Streams() *stdio.Hub              { return p.hub }
func (p *fakeProcess) Done() <-chan struct{}            { return p.done }
func (p *fakeProcess) Code() int                        { return p.code }
func (p *fakeProcess) Start(context.Context) error      { return nil }
func (p *fakeProcess) OutOfMemory() bool                { return p.code == 137 }
func (p *fakeProcess) SignalAll(s syscall.Signal) error { return p.Signal(s) }
func (p *fakeProcess) Signal(s syscall.Signal) error    { p.end(128 + int(s)); return nil }

// describe is a strategy that makes no link.
type describe struct{}

func (describe) Interface(a resource.AllocatedAttachment, index int) (wiring.Interface, error) {
	if a.Attachment.MTU == 13 {
		return wiring.Interface{}, errFake
	}
	plan := wiring.Interface{Name: a.Attachment.InterfaceName}
	if plan.Name == "" {
		plan.Name = fmt.Sprintf("eth%d", index)
	}
	if a.Attachment.IPv4Address.IsValid() {
		plan.Addresses = []netip.Prefix{a.Attachment.IPv4Address}
	}
	return plan, nil
}

func newFake(t *testing.T) (*Sandbox, *fakeEngine, *holdtest.Plugins) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &fakeEngine{main: newFakeProcess(), dir: dir}
	s := New(Config{
		ID: "0123456789abcdef", StateDir: dir, Engine: func(string, string) (Engine, error) { return e, nil }, Log: slog.New(slog.DiscardHandler),
		Strategies: map[string]wiring.Strategy{"describe": describe{}},
	})
	plugins := holdtest.New()
	s.leases = hold.New(plugins.Dial, s.config.Log)
	t.Cleanup(func() { _ = s.Shutdown(context.Background()); s.Wait() })
	return s, e, plugins
}

func bootstrapped(dir string) BootstrapConfig {
	return BootstrapConfig{
		Configuration: Configuration{Process: resource.Process{Args: []string{"true"}}},
		LogPath:       filepath.Join(dir, "log"),
		Allocated: []resource.AllocatedAttachment{
			{Attachment: resource.Attachment{Network: "a"}, Strategy: "describe", Lease: resource.LeaseReference{Key: "id/0", Socket: "a"}},
		},
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	s, e, plugins := newFake(t)
	ctx := t.Context()
	if _, err := s.Start(ctx); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("Start of an empty one: %v", err)
	}
	made, err := s.Bootstrap(ctx, bootstrapped(e.dir))
	if err != nil || made.PID != 42 || made.Attachments[0].InterfaceName != "eth0" || len(made.Errand) != 1 {
		t.Fatalf("Bootstrap = %+v, %v", made, err)
	}
	if _, err := s.Bootstrap(ctx, bootstrapped(e.dir)); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("second Bootstrap: %v", err)
	}
	if _, err := s.Exec(ctx, ExecConfiguration{}); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("Exec before Start: %v", err)
	}
	if at, err := s.Start(ctx); err != nil || at.IsZero() {
		t.Errorf("Start = %v, %v", at, err)
	}
	if got := s.Status(); got.State != Running || got.PID != 42 || got.StartedAt.IsZero() {
		t.Errorf("status = %+v, want running", got)
	}
	name, err := s.Exec(ctx, ExecConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	// One whose caller has gone meanwhile is ended: nobody knows its name.
	gone, leave := context.WithCancel(ctx)
	leave()
	if _, err := s.Exec(gone, ExecConfiguration{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Exec for nobody: %v", err)
	}
	if exit, err := s.WaitProcess(ctx, "exec2"); err != nil || exit.Code != 137 {
		t.Errorf("exec for nobody = %+v, %v, want 137", exit, err)
	}
	e.main.end(5)
	if exit, err := s.WaitProcess(ctx, name); err != nil || exit.Code != 137 {
		t.Errorf("exec = %+v, %v, want 137", exit, err)
	}
	exit, err := s.WaitProcess(ctx, "")
	if err != nil || exit.Code != 5 || exit.ExitedAt.IsZero() {
		t.Errorf("exit = %+v, %v, want code 5", exit, err)
	}
	<-s.Done()
	if plugins.Holds("a") {
		t.Error("the lease is still held")
	}
	if e.early {
		t.Errorf("%s was not there when the sandbox was taken down", ExitFile)
	}
	if got := s.Status(); got.State != Stopped || got.PID != 0 {
		t.Errorf("status = %+v, want stopped", got)
	}
	if _, err := s.WaitProcess(ctx, "exec9"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("Wait for nobody: %v", err)
	}
	if log, err := os.ReadFile(filepath.Join(e.dir, "log")); err != nil || len(log) == 0 {
		t.Errorf("log = %q, %v", log, err)
	}
}

// TestEndIsToldFirst: nobody waits for the removal of what nobody else could want.
func TestEndIsToldFirst(t *testing.T) {
	t.Parallel()
	s, e, plugins := newFake(t)
	e.stays = make(chan struct{})
	if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); err != nil {
		t.Fatal(err)
	}
	e.main.end(3)
	if exit, err := s.WaitProcess(t.Context(), ""); err != nil || exit.Code != 3 || s.Status().State != Stopped {
		t.Errorf("exit = %+v, %v, in state %v", exit, err, s.Status().State)
	}
	if plugins.Holds("a") || e.calls[len(e.calls)-1] != "free" {
		t.Errorf("the end is told after %v, with a lease held: %v", e.calls, plugins.Holds("a"))
	}
	select {
	case <-s.Done():
		t.Error("the sandbox has ended before all was removed")
	default:
	}
	close(e.stays)
	<-s.Done()
	if e.calls[len(e.calls)-1] != "destroy" {
		t.Errorf("calls = %v, want destroy last", e.calls)
	}
}

// TestEndIsToldFirstByOneProcessor: a helper has one processor, and who waits for the end must
// not wait until what follows it leaves that.
func TestEndIsToldFirstByOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	const rounds = 10
	first := 0
	for range rounds {
		s, e, _ := newFake(t)
		if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); err != nil {
			t.Fatal(err)
		}
		var told atomic.Bool
		heard := make(chan bool, 1)
		e.destroying = func() { heard <- told.Load() }
		go func() {
			_, _ = s.WaitProcess(context.Background(), "")
			told.Store(true)
		}()
		runtime.Gosched() // it waits
		e.main.end(0)
		if <-heard {
			first++
		}
	}
	if first <= rounds/2 { // now and then the scheduler looks for work elsewhere first
		t.Errorf("the end was told %d times of %d before the removal began, want nearly always", first, rounds)
	}
}

// TestBootstrapFails: whatever fails, all is undone and the sandbox has ended.
func TestBootstrapFails(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"isolate", "prepare", "rewrite 1", "plug", "create", "hold", "plan"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s, e, plugins := newFake(t)
			c := bootstrapped(e.dir)
			want := errFake
			switch step {
			case "hold":
				plugins.SetDown("a", errFake)
			case "plan":
				c.Allocated[0].Attachment.MTU, want = 13, errFake
			default:
				e.fail = step
			}
			if _, err := s.Bootstrap(t.Context(), c); !errors.Is(err, want) {
				t.Errorf("Bootstrap: %v, want %v", err, want)
			}
			<-s.Done()
			if e.calls[len(e.calls)-1] != "destroy" {
				t.Errorf("calls = %v, want destroy last", e.calls)
			}
			if step == "hold" && slices.Contains(e.calls, "plug") {
				t.Errorf("calls = %v: plugged without a lease", e.calls)
			}
			if plugins.Holds("a") {
				t.Error("the lease is still held")
			}
			if _, err := os.Stat(s.StdioSocket()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stdio socket: %v, want none", err)
			}
		})
	}
}

// TestPrepare: what needs no networks is made before there are any, and nothing of it
// is left where a Bootstrap does not come to its end, or none comes.
func TestPrepare(t *testing.T) {
	t.Parallel()
	prepared := func(t *testing.T, fail string) (*Sandbox, *fakeEngine, BootstrapConfig) {
		t.Helper()
		s, e, _ := newFake(t)
		e.fail = fail
		c := bootstrapped(e.dir)
		if err := s.Prepare(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		<-s.prepared.done
		if fail == "" && !slices.Equal(e.calls, []string{"isolate", "prepare", "create"}) {
			t.Errorf("calls = %v, want all that needs no networks", e.calls)
		}
		if got := s.Status(); got.State != Empty || got.PID != 0 {
			t.Errorf("status = %+v, want empty", got)
		}
		return s, e, BootstrapConfig{Allocated: c.Allocated}
	}
	gone := func(t *testing.T, s *Sandbox, e *fakeEngine) {
		t.Helper()
		<-s.Done()
		if last := e.calls[len(e.calls)-1]; last != "destroy" {
			t.Errorf("calls = %v, want destroy last", e.calls)
		}
		if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("another Bootstrap: %v", err)
		}
	}
	t.Run("and bootstrap", func(t *testing.T) {
		t.Parallel()
		s, e, rest := prepared(t, "")
		if err := s.Prepare(t.Context(), rest); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("second Prepare: %v", err)
		}
		if made, err := s.Bootstrap(t.Context(), rest); err != nil || made.PID != 42 || len(made.Attachments) != 1 {
			t.Errorf("Bootstrap = %+v, %v", made, err)
		}
		if !slices.Contains(e.calls, "rewrite 1") || !slices.Contains(e.calls, "plug") {
			t.Errorf("calls = %v, want the network to be made and told of", e.calls)
		}
	})
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		s, e, rest := prepared(t, "create")
		if _, err := s.Bootstrap(t.Context(), rest); !errors.Is(err, errFake) {
			t.Errorf("Bootstrap: %v, want %v", err, errFake)
		}
		gone(t, s, e)
	})
	t.Run("and a network fails", func(t *testing.T) {
		t.Parallel()
		s, e, rest := prepared(t, "plug")
		if _, err := s.Bootstrap(t.Context(), rest); !errors.Is(err, errFake) {
			t.Errorf("Bootstrap: %v, want %v", err, errFake)
		}
		gone(t, s, e)
	})
	t.Run("and shutdown", func(t *testing.T) {
		t.Parallel()
		s, e, _ := prepared(t, "")
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		gone(t, s, e)
	})
	t.Run("of nobody", func(t *testing.T) {
		t.Parallel()
		s, e, _ := newFake(t)
		s.self.Store(&identity{stateDir: e.dir})
		if err := s.Prepare(t.Context(), bootstrapped(e.dir)); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("Prepare: %v", err)
		}
		<-s.Done()
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		s, e, _ := newFake(t)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); err == nil {
			t.Error("Bootstrap after Shutdown worked")
		}
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		s, e, _ := newFake(t)
		if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if diff := cmp.Diff(ExitStatus{Code: 137, OutOfMemory: true}, s.exit, cmp.FilterPath(func(p cmp.Path) bool {
			return p.Last().String() == ".ExitedAt" || p.Last().String() == ".Message"
		}, cmp.Ignore())); diff != "" {
			t.Errorf("exit (-want +got):\n%s", diff)
		}
	})
	t.Run("during bootstrap", func(t *testing.T) {
		t.Parallel()
		s, e, plugins := newFake(t)
		plugins.Silence("a")
		failed := make(chan error, 1)
		go func() {
			_, err := s.Bootstrap(context.Background(), bootstrapped(e.dir))
			failed <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		for !s.hasBegun() {
		}
		if err := s.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Error("Bootstrap worked though it was cut short")
		}
	})
}

func (s *Sandbox) hasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}
