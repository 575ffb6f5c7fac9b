package vm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"

	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/accel"
	"patchbay.dev/patchbay/internal/runtime/vm/console"
	"patchbay.dev/patchbay/internal/runtime/vm/hostuser"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/runtime/vm/streams"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/tapstream"
	"patchbay.dev/patchbay/resource"
)

// Strategies are the strategies that a machine's interfaces can be made by.
func Strategies() []string {
	return []string{resource.StrategyBridgePort, resource.StrategyMacvlan, resource.StrategyTapStream, resource.StrategyDelegated}
}

// Config is what an Engine needs.
type Config struct {
	ID       string // of the sandbox
	StateDir string // absolute; the helper's own directory
	site.Site
}

// Engine makes one virtual machine.
type Engine struct {
	config  Config
	host    *outer.Host
	console string              // path of what the guest has said on its serial port
	booted  chan struct{}       // closed when guest can be called, or failure is set
	chosen  chan struct{}       // closed when verdict is set
	wired   chan []qemu.Network // what a microvm begins with

	// Set before booted is closed:
	machine *qemu.Machine
	status  resource.MachineStatus
	errand  []string
	server  *share.Server // nil without mounts of the host
	session *yamux.Session
	guest   guestv1connect.GuestServiceClient
	calls   *rpc.Connection
	sandbox sandbox.Configuration
	told    sandbox.Configuration // what the generated files say; set by Prepare and Rewrite

	opened    bool             // set by Open: for copies alone
	namespace *netns.Namespace // set by Isolate
	streams   *streams.Streams
	rates     outer.Rates
	group     cgroup.Group
	user      *hostuser.User // set by Prepare
	verdict   accel.Verdict  // set by Prepare
	trial     sync.WaitGroup // of KVM, beside the machine
	stopTrial func()         // nil: there is none

	mu    sync.Mutex
	main  *mainProcess               // guarded by mu; nil before Create
	fate  string                     // guarded by mu; why the helper has ended the machine
	pumps map[string]*tapstream.Pump // guarded by mu; by interface, of those whose frames go over a socket
	ports map[string]int             // guarded by mu; that devices are plugged in at, by interface
}

var (
	_ sandbox.Engine   = (*Engine)(nil)
	_ sandbox.Warner   = (*Engine)(nil)
	_ sandbox.Errander = (*Engine)(nil)
	_ sandbox.Machined = (*Engine)(nil)
)

// New returns the engine of the helper, which is process 1 of its PID namespace.
func New(c Config) (*Engine, error) {
	h, err := outer.MoveIn()
	if err != nil {
		return nil, err
	}
	group, err := cgroup.Of(c.ID)
	if err != nil {
		return nil, err
	}
	return &Engine{
		config: c, host: h, group: group, console: filepath.Join(c.StateDir, "console.log"),
		booted: make(chan struct{}), chosen: make(chan struct{}), wired: make(chan []qemu.Network, 1), streams: streams.New(),
		pumps: make(map[string]*tapstream.Pump), ports: make(map[string]int), rates: outer.Rates{Sandbox: c.ID},
	}, nil
}

func (e *Engine) path(name string) string { return filepath.Join(e.config.StateDir, name) }

// Isolate makes the network namespace in which interfaces are that the host is not
// to see. The machine itself is not in it.
func (e *Engine) Isolate(context.Context) (string, error) {
	ns, err := netns.New()
	if err != nil {
		return "", err
	}
	e.namespace = ns
	return e.reach(), nil
}

// reach is the path by which network plugins open the namespace.
func (e *Engine) reach() string {
	return fmt.Sprintf("/proc/%d/fd/%d", e.host.PID(), e.namespace.FD())
}

// Prepare boots the machine and has the agent make the root file system.
func (e *Engine) Prepare(ctx context.Context, c sandbox.Configuration) error {
	e.sandbox, e.told = c, c
	if err := e.lay(); err != nil {
		return err
	}
	if err := e.boot(ctx); err != nil {
		return err
	}
	close(e.booted)
	return nil
}

// Machine implements sandbox.Machined.
func (e *Engine) Machine() resource.MachineStatus { return e.status }

// Create has the agent make the main process.
func (e *Engine) Create(ctx context.Context) (sandbox.MainProcess, error) {
	if err := e.limitProcessors(); err != nil {
		return nil, err
	}
	if _, err := e.guest.Create(ctx, e.creation()); err != nil {
		return nil, e.explain(err)
	}
	pid, err := e.host.ProcessID(e.machine.PID())
	if err != nil {
		return nil, err
	}
	p, err := e.newProcess(ctx, "", pid, processStreams{
		terminal: e.sandbox.Process.Terminal, stdin: e.sandbox.Process.Stdin,
		stdout: e.sandbox.Stdout, stderr: e.sandbox.Stderr, await: e.sandbox.AwaitAttach,
	})
	if err != nil {
		return nil, err
	}
	main := &mainProcess{process: p}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.main = main
	return main, nil
}

// explain adds how the machine ended to an error of a call that it did not answer.
func (e *Engine) explain(err error) error {
	if !errdefs.IsUnavailable(err) {
		return err
	}
	if e.machine.Gone() { // its process is about to end, and says why
		select {
		case <-e.machine.Done():
		case <-time.After(answerTimeout):
		}
	}
	e.mu.Lock()
	fate := e.fate
	e.mu.Unlock()
	return console.Explain(err, cmp.Or(fate, e.machine.Reason()), e.console)
}

// loss says why the machine is gone, or its agent, which so was not heard of; "" if that was
// wanted.
func (e *Engine) loss(err error) string {
	silent := ""
	select {
	case <-e.machine.Done():
	case <-time.After(answerTimeout):
		silent = fmt.Sprintf("the guest's agent is lost, though %s runs: %v", qemu.Binary, err)
	}
	e.mu.Lock()
	fate := e.fate
	e.mu.Unlock()
	reason := cmp.Or(fate, e.machine.Reason(), silent)
	if reason == "" {
		return ""
	}
	return console.Ending(reason, e.console)
}

// Free ends the machine and lets its network namespace go.
func (e *Engine) Free(ctx context.Context) error {
	e.mu.Lock()
	main, pumps := e.main, e.pumps
	e.pumps = nil // no interface is plugged in any more
	e.mu.Unlock()
	if e.stopTrial != nil {
		e.stopTrial()
	}
	e.trial.Wait()
	if e.machine != nil {
		e.machine.Kill()
	}
	if e.server != nil {
		e.server.Kill()
	}
	for _, p := range pumps {
		p.Close()
	}
	if e.session != nil {
		_ = e.session.Close() // the machine is gone
	}
	if main != nil {
		select {
		case <-main.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := e.rates.Remove()
	if e.namespace != nil {
		err = errors.Join(err, e.namespace.Close())
	}
	return err
}

// Destroy is Free, and removes all else that was made for the machine.
func (e *Engine) Destroy(ctx context.Context) error {
	if err := e.Free(ctx); err != nil {
		return err
	}
	return errors.Join(e.unconfine(ctx), share.Remove(e.sharesDir()), removeAll(e.console))
}

func removeAll(paths ...string) error {
	var errs []error
	for _, p := range paths {
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
}
