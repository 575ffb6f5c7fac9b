package containers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"patchbay.dev/patchbay/api/message"
	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/resource"
)

// manner tells a fake helper how to behave before it knows its container.
const manner = "FAKE_MANNER"

// TestMain is also the main of the fake runtime helper: the service runs this
// binary as one.
func TestMain(m *testing.M) {
	if os.Getenv("PATCHBAY_SANDBOX_ID") != "" {
		os.Exit(fakeHelper(os.Getenv("PATCHBAY_STATE_DIR"), os.Args[1:]))
	}
	if len(os.Args) == 3 && os.Args[1] == "errand" {
		os.Exit(fakeErrand(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// fakeErrand leaves word of what it was told.
func fakeErrand(path string) int {
	if err := atomicfile.Write(path, []byte(os.Getenv("PATCHBAY_CACHE_DIR")), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// residue is what a helper leaves on the host unless it or the cleanup verb
// removes it, as a cgroup would be.
func residue(stateDir string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(stateDir)), "residue-"+filepath.Base(stateDir))
}

func fakeHelper(stateDir string, args []string) int {
	if len(args) == 1 && args[0] == "cleanup" {
		os.Remove(residue(stateDir))
		return 0
	}
	switch os.Getenv(manner) {
	case "dies":
		fmt.Fprintln(os.Stderr, "the engine is missing")
		return 1
	case "hangs":
		syscall.Pause()
	}
	listener, err := rpc.InheritedListener()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f := &fake{dir: stateDir, state: sandboxv1.SandboxState_SANDBOX_STATE_EMPTY, exited: make(chan struct{}), gone: make(chan struct{}), changed: make(chan struct{})}
	server := rpc.NewServer(rpc.ServerConfig{
		Log:      slog.New(slog.DiscardHandler),
		Register: func(s *connect.Server) { sandboxv1connect.RegisterSandboxServiceHandler(s, f) },
	})
	go server.Serve(listener)
	<-f.gone
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server.Shutdown(ctx) // lets answers go out
	return 0
}

// fake is a sandbox whose main process is a word of the command:
//
//	run            runs until a signal; ignores all but KILL after "deaf"; has a fault
//	               from SIGWINCH until SIGCONT
//	exit N         ends at once
//	exit N errand PATH  wants an errand
//	anything else  see Bootstrap and Start
type fake struct {
	sandboxv1connect.UnimplementedSandboxServiceHandler
	dir    string
	args   []string
	early  *sandboxv1.BootstrapRequest // what Prepare was told
	exited chan struct{}
	gone   chan struct{}
	end    sync.Once

	mu          sync.Mutex
	state       sandboxv1.SandboxState
	started     time.Time
	ending      bool
	exit        *sandboxv1.ExitStatus
	attachments []*typesv1.Attachment
	faults      []string
	changed     chan struct{} // closed and replaced with each change
}

func (f *fake) Hello(context.Context, *sandboxv1.HelloRequest) (*sandboxv1.HelloResponse, error) {
	if os.Getenv(manner) == "future" {
		return &sandboxv1.HelloResponse{MinProtocol: 7, MaxProtocol: 9}, nil
	}
	return &sandboxv1.HelloResponse{MinProtocol: 1, MaxProtocol: 1, Name: "fake"}, nil
}

// Prepare is not known to one of an earlier version.
func (f *fake) Prepare(ctx context.Context, r *sandboxv1.PrepareRequest) (*sandboxv1.PrepareResponse, error) {
	if os.Getenv(manner) == "old" {
		return f.UnimplementedSandboxServiceHandler.Prepare(ctx, r)
	}
	f.early = r.GetContainer()
	return &sandboxv1.PrepareResponse{}, os.WriteFile(filepath.Join(f.dir, "prepared"), nil, 0o600)
}

func (f *fake) Bootstrap(ctx context.Context, r *sandboxv1.BootstrapRequest) (*sandboxv1.BootstrapResponse, error) {
	if f.early != nil {
		f.early.Attachments, f.early.Start = r.GetAttachments(), r.GetStart()
		r = f.early
	}
	if err := os.WriteFile(residue(f.dir), nil, 0o600); err != nil {
		return nil, err
	}
	request, _ := json.Marshal(r)
	if err := os.WriteFile(filepath.Join(f.dir, "request.json"), request, 0o600); err != nil {
		return nil, err
	}
	f.args = r.GetProcess().GetArgs()
	switch f.args[0] {
	case "bootstrap-error":
		os.Remove(residue(f.dir))
		f.leave()
		return nil, fmt.Errorf("exec: %q: not in the image: %w", "bootstrap-error", errdefs.ErrNotFound)
	case "bootstrap-unavailable":
		os.Remove(residue(f.dir))
		f.leave()
		return nil, fmt.Errorf("network a: the plugin went away: %w", errdefs.ErrUnavailable)
	case "bootstrap-death":
		fmt.Fprintln(os.Stderr, "out of luck")
		os.Exit(2)
	case "bootstrap-hang":
		return nil, f.hang(ctx)
	case "rendezvous":
		meet(variable(r.GetProcess(), "PLACE"), 2)
	}
	log, err := containerlog.Create(r.GetLogPath(), resource.LogLimits{})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintln(log.Stream(false), "hello from", r.GetName())

	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = sandboxv1.SandboxState_SANDBOX_STATE_CREATED
	for _, a := range r.GetAttachments() {
		f.attachments = append(f.attachments, a.GetAttachment())
	}
	made := &sandboxv1.BootstrapResponse{Pid: int64(os.Getpid()), Attachments: f.attachments, StdioSocket: filepath.Join(f.dir, "stdio.sock"), Warnings: []string{"careful"}}
	if len(f.args) == 4 {
		made.Errand = f.args[2:]
	}
	return made, nil
}

func variable(p *typesv1.Process, key string) string {
	for _, v := range p.GetEnv() {
		if value, ok := strings.CutPrefix(v, key+"="); ok {
			return value
		}
	}
	return ""
}

// meet waits until n processes have met at a place.
func meet(place string, n int) {
	if err := os.WriteFile(filepath.Join(place, strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		panic(err)
	}
	for {
		if here, _ := os.ReadDir(place); len(here) >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (f *fake) Start(ctx context.Context, _ *sandboxv1.StartRequest) (*sandboxv1.StartResponse, error) {
	switch f.args[0] {
	case "start-error":
		return nil, fmt.Errorf("exec: %q: not executable: %w", "start-error", errdefs.ErrPermissionDenied)
	case "start-hang":
		return nil, f.hang(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.started = sandboxv1.SandboxState_SANDBOX_STATE_RUNNING, time.Now()
	if f.args[0] == "exit" {
		code, _ := strconv.Atoi(f.args[1])
		go f.finish(code)
	}
	return &sandboxv1.StartResponse{StartedAt: message.NewTimestamp(f.started)}, nil
}

// finish is the end of the main process, in the order that helpers keep.
func (f *fake) finish(code int) {
	f.mu.Lock()
	if f.ending {
		f.mu.Unlock()
		return
	}
	f.ending = true
	f.mu.Unlock()
	now := time.Now().UTC()
	data := fmt.Sprintf(`{"code":%d,"exitedAt":%q,"outOfMemory":false,"message":"so it ended"}`, code, now.Format(time.RFC3339Nano))
	if err := atomicfile.Write(filepath.Join(f.dir, "exit.json"), []byte(data), 0o600); err != nil {
		panic(err)
	}
	os.Remove(residue(f.dir))
	f.mu.Lock()
	f.state = sandboxv1.SandboxState_SANDBOX_STATE_STOPPED
	f.exit = &sandboxv1.ExitStatus{Code: int32(code), ExitedAt: message.NewTimestamp(now), Message: "so it ended"}
	f.mu.Unlock()
	close(f.exited)
	f.setFaults()
	if f.args[0] != "stays" {
		f.leave()
	}
}

// hang gives no answer to a call in its time, and keeps nobody from leaving.
func (f *fake) hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-f.gone:
	}
	return context.DeadlineExceeded
}

func (f *fake) leave() { f.end.Do(func() { close(f.gone) }) }

// asked is the file that a fake helper leaves when it is asked for its state.
const asked = "asked"

func (f *fake) State(context.Context, *sandboxv1.StateRequest) (*sandboxv1.StateResponse, error) {
	now, _ := f.now()
	return now, os.WriteFile(filepath.Join(f.dir, asked), nil, 0o600)
}

func (f *fake) Watch(ctx context.Context, r *sandboxv1.WatchRequest, stream sandboxv1connect.SandboxServiceWatchServerStream) error {
	if os.Getenv(manner) == "old" {
		return f.UnimplementedSandboxServiceHandler.Watch(ctx, r, stream)
	}
	for left := false; ; {
		now, changed := f.now()
		if err := stream.Send(&sandboxv1.WatchResponse{State: now}); err != nil || left || now.GetExit() != nil {
			return err
		}
		select {
		case <-changed:
		case <-f.gone:
			left = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fake) now() (*sandboxv1.StateResponse, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &sandboxv1.StateResponse{State: f.state, Pid: int64(os.Getpid()), Exit: f.exit, Attachments: f.attachments, Faults: f.faults}
	if !f.started.IsZero() {
		r.StartedAt = message.NewTimestamp(f.started)
	}
	return r, f.changed
}

// setFaults is a change that nobody but the helper knows of.
func (f *fake) setFaults(faults ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
	close(f.changed)
	f.changed = make(chan struct{})
}

// Stats counts by the places of the attachments.
func (f *fake) Stats(ctx context.Context, _ *sandboxv1.StatsRequest) (*sandboxv1.StatsResponse, error) {
	switch f.args[0] {
	case "stats-hang":
		return nil, f.hang(ctx)
	case "stats-unknown":
		return f.UnimplementedSandboxServiceHandler.Stats(ctx, nil)
	case "stats-error":
		return nil, fmt.Errorf("control group: cpu.stat: cannot make sense of it: %w", errdefs.ErrInternal)
	case "stats-death":
		os.Exit(2)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &typesv1.Sample{Time: message.NewTimestamp(time.Now()), Cpu: &typesv1.CPUUse{UsedNanoseconds: 7}}
	for i, a := range f.attachments {
		s.Attachments = append(s.Attachments, &typesv1.AttachmentTraffic{
			NetworkId: a.GetNetworkId(), Network: a.GetNetwork(), InterfaceName: a.GetInterfaceName(),
			Received: &typesv1.Traffic{Bytes: uint64(i + 1)}, Sent: &typesv1.Traffic{Bytes: uint64(i + 10)},
		})
	}
	return &sandboxv1.StatsResponse{Sample: s}, nil
}

// Connect does as the command says.
func (f *fake) Connect(_ context.Context, r *sandboxv1.ConnectRequest) (*sandboxv1.ConnectResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.args[0] {
	case "connect-error":
		return nil, fmt.Errorf("network b: hold the lease: no: %w", errdefs.ErrUnavailable)
	case "connect-unknown":
		return nil, fmt.Errorf("no such thing: %w", errdefs.ErrNotImplemented)
	case "connect-death":
		fmt.Fprintln(os.Stderr, "out of wires")
		os.Exit(2)
	}
	f.attachments = append(f.attachments, r.GetAttachment().GetAttachment())
	if f.args[0] == "connect-late-error" {
		return nil, fmt.Errorf("gave up: %w", errdefs.ErrUnavailable)
	}
	return &sandboxv1.ConnectResponse{Attachments: f.attachments}, nil
}

func (f *fake) Disconnect(ctx context.Context, r *sandboxv1.DisconnectRequest) (*sandboxv1.DisconnectResponse, error) {
	if limit, ok := ctx.Deadline(); f.args[0] == "disconnect-slow" && ok && time.Until(limit) < 30*time.Second {
		return nil, fmt.Errorf("until %v: a guest has 30 s: %w", limit, errdefs.ErrInternal)
	}
	if f.args[0] == "disconnect-hang" {
		return nil, f.hang(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	place := slices.IndexFunc(f.attachments, func(a *typesv1.Attachment) bool { return a.GetInterfaceName() == r.GetInterfaceName() })
	if place < 0 {
		return nil, fmt.Errorf("interface %s: %w", r.GetInterfaceName(), errdefs.ErrNotFound)
	}
	f.attachments = slices.Delete(f.attachments, place, place+1)
	return &sandboxv1.DisconnectResponse{Attachments: f.attachments}, nil
}

func (f *fake) Wait(ctx context.Context, r *sandboxv1.WaitRequest) (*sandboxv1.WaitResponse, error) {
	if r.GetProcessId() == "for ever" {
		return nil, f.hang(ctx)
	}
	if r.GetProcessId() != "" {
		return &sandboxv1.WaitResponse{Exit: &sandboxv1.ExitStatus{Code: 42}}, nil
	}
	select {
	case <-f.exited:
		f.mu.Lock()
		defer f.mu.Unlock()
		return &sandboxv1.WaitResponse{Exit: f.exit}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fake) Signal(_ context.Context, r *sandboxv1.SignalRequest) (*sandboxv1.SignalResponse, error) {
	if r.GetProcessId() != "" {
		told := filepath.Join(f.dir, fmt.Sprintf("signal-%s-%d", r.GetProcessId(), r.GetSignal()))
		return &sandboxv1.SignalResponse{}, os.WriteFile(told, nil, 0o600)
	}
	f.mu.Lock()
	running := f.state == sandboxv1.SandboxState_SANDBOX_STATE_RUNNING
	f.mu.Unlock()
	switch {
	case !running:
		return nil, fmt.Errorf("no main process: %w", errdefs.ErrFailedPrecondition)
	case f.args[0] == "immortal":
	case r.GetSignal() == int32(syscall.SIGWINCH):
		f.setFaults("lease a is not held")
	case r.GetSignal() == int32(syscall.SIGCONT):
		f.setFaults()
	case f.args[0] == "deaf" && r.GetSignal() != 9:
	default:
		go f.finish(128 + int(r.GetSignal()))
	}
	return &sandboxv1.SignalResponse{}, nil
}

func (f *fake) Exec(_ context.Context, r *sandboxv1.ExecRequest) (*sandboxv1.ExecResponse, error) {
	p := r.GetProcess()
	// The answer shows what was asked.
	return &sandboxv1.ExecResponse{
		ProcessId:   fmt.Sprintf("%v|%v|%s|%s|%v", p.GetArgs(), p.GetEnv(), p.GetUser(), p.GetWorkingDirectory(), r.GetPrivileged()),
		StdioSocket: filepath.Join(f.dir, "stdio.sock"),
	}, nil
}

func (f *fake) Resize(_ context.Context, r *sandboxv1.ResizeRequest) (*sandboxv1.ResizeResponse, error) {
	return &sandboxv1.ResizeResponse{}, os.WriteFile(filepath.Join(f.dir, "size"), fmt.Appendf(nil, "%dx%d", r.GetWidth(), r.GetHeight()), 0o600)
}

func (f *fake) Shutdown(context.Context, *sandboxv1.ShutdownRequest) (*sandboxv1.ShutdownResponse, error) {
	f.mu.Lock()
	running := f.state == sandboxv1.SandboxState_SANDBOX_STATE_RUNNING
	f.mu.Unlock()
	if running && f.args[0] != "immortal" {
		f.finish(137)
	}
	if len(f.args) == 0 || f.args[0] != "immortal" {
		os.Remove(residue(f.dir))
		f.leave()
	}
	return &sandboxv1.ShutdownResponse{}, nil
}
