package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/rpc/jsonform"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// fakeServer stands for patchbayd and the runtime helpers: real sockets, and
// containers that are functions.
type fakeServer struct {
	roots  layout.Roots
	server *rpc.Server
	stdio  *stdio.Server
	served sync.WaitGroup

	events *fakeEvents

	shutdown chan struct{} // closed by Shutdown

	mu         sync.Mutex
	called     sync.Cond            // on mu: something was called, or a container runs
	calls      []string             // guarded by mu; "Procedure {request}"
	networks   []resource.Network   // guarded by mu
	containers []*fakeContainer     // guarded by mu
	images     []*apiserverv1.Image // guarded by mu
	execs      []*fakeProcess       // guarded by mu; "exec-1" is the first
}

type fakeContainer struct {
	resource.Container
	process *fakeProcess
	samples int // taken
}

// fakeProcess is a program of the fake's own: see program.
type fakeProcess struct {
	hub     *stdio.Hub
	stdin   *io.PipeReader
	out     *os.File
	errs    *os.File
	signals chan string
	done    chan struct{}
	code    int
	// attached is closed when output is passed on: with somebody attached, for a
	// process that was started so.
	attached chan struct{}
}

// signalWriter tells of the first write.
type signalWriter struct {
	once    sync.Once
	written chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.written) })
	return len(p), nil
}

func newFakeServer(roots layout.Roots) (*fakeServer, error) {
	f := &fakeServer{roots: roots, events: newFakeEvents(), shutdown: make(chan struct{})}
	f.called.L = &f.mu
	for _, d := range []string{roots.RunRoot, roots.Sandboxes()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	api, err := net.Listen("unix", roots.APISocket())
	if err != nil {
		return nil, err
	}
	streams, err := net.Listen("unix", f.stdioSocket())
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	f.stdio = stdio.Serve(streams, log)
	f.server = rpc.NewServer(rpc.ServerConfig{Log: log, Register: func(s *connect.Server) {
		apiserverv1connect.RegisterNetworkServiceHandler(s, fakeNetworks{server: f})
		apiserverv1connect.RegisterContainerServiceHandler(s, fakeContainers{server: f})
		apiserverv1connect.RegisterImageServiceHandler(s, fakeImages{server: f})
		apiserverv1connect.RegisterRegistryServiceHandler(s, fakeRegistries{server: f})
		apiserverv1connect.RegisterPluginServiceHandler(s, fakePlugins{server: f})
		apiserverv1connect.RegisterSystemServiceHandler(s, fakeSystem{server: f})
	}})
	f.networks = []resource.Network{sampleNetwork("default"), sampleNetwork("web")}
	f.images = []*apiserverv1.Image{sampleImage("box:latest")}
	f.served.Go(func() { _ = f.server.Serve(api) })
	return f, nil
}

func (f *fakeServer) close() {
	f.mu.Lock()
	for _, c := range f.containers {
		if c.process != nil {
			c.process.signal("SIGKILL")
		}
	}
	f.mu.Unlock()
	f.server.Close()
	f.served.Wait()
	f.stdio.Close()
}

func (f *fakeServer) stdioSocket() string { return filepath.Join(f.roots.RunRoot, "stdio.sock") }

// record keeps a call with its request, in a form that is the same every time.
func (f *fakeServer) record(procedure string, request message.Message) {
	text, err := jsonform.Append(nil, request)
	if err != nil {
		panic(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, procedure+" "+compact.String())
	f.called.Broadcast()
}

// awaitAttached returns when somebody is attached to a running container.
func (f *fakeServer) awaitAttached(name string) {
	f.mu.Lock()
	process := f.findProcess(name)
	for process == nil {
		f.called.Wait()
		process = f.findProcess(name)
	}
	f.mu.Unlock()
	<-process.attached
}

func execName(place int) string { return fmt.Sprintf("exec-%d", place+1) }

// findProcess needs mu. It returns the process of a container or of an exec, nil
// where there is none.
func (f *fakeServer) findProcess(name string) *fakeProcess {
	for i, p := range f.execs {
		if execName(i) == name {
			return p
		}
	}
	for _, c := range f.containers {
		if c.Name == name && c.process != nil {
			return c.process
		}
	}
	return nil
}

// awaitCalls returns when n calls contain text.
func (f *fakeServer) awaitCalls(n int, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		got := 0
		for _, call := range f.calls {
			if strings.Contains(call, text) {
				got++
			}
		}
		if got >= n {
			return
		}
		f.called.Wait()
	}
}

// takeCalls returns the calls so far and forgets them.
func (f *fakeServer) takeCalls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.calls, "\n") + "\n"
	f.calls = nil
	return out
}

var born = time.Now().Add(-49 * time.Hour)

func sampleNetwork(name string) resource.Network {
	n := resource.Network{Metadata: resource.Metadata{ID: "00000000000000" + strconv.Itoa(10+len(name)), Name: name, CreatedAt: born}}
	n.Configuration.Plugin = resource.PluginInfo{Plugin: "bridge", Variant: "nat"}
	n.Status = resource.NetworkStatus{State: resource.NetworkReady, AddressesInUse: 2, AddressesTotal: 253, MTU: 1500}
	return n
}

func sampleImage(reference string) *apiserverv1.Image {
	return &apiserverv1.Image{
		Metadata:      &typesv1.Metadata{Id: "sha256:" + strings.Repeat("ab", 32), Name: reference, CreatedAt: message.NewTimestamp(born)},
		Configuration: &apiserverv1.ImageConfiguration{Digest: "sha256:" + strings.Repeat("ab", 32), Platform: "linux/amd64"},
		Status:        &apiserverv1.ImageStatus{References: []string{reference}, SizeBytes: 4_200_000},
	}
}

type fakeNetworks struct {
	apiserverv1connect.UnimplementedNetworkServiceHandler
	server *fakeServer
}

func (s fakeNetworks) Create(_ context.Context, r *apiserverv1.NetworkServiceCreateRequest) (*apiserverv1.NetworkServiceCreateResponse, error) {
	s.server.record("Networks.Create", r)
	if r.GetName() == "web" {
		return nil, fmt.Errorf("network web: exists already, want another name: %w", errdefs.ErrAlreadyExists)
	}
	if r.GetName() == "two-faults" {
		return nil, fmt.Errorf("network: %w: name \"two faults\": want no space\noption \"x\": want one of y", errdefs.ErrInvalidArgument)
	}
	n := sampleNetwork(r.GetName())
	return &apiserverv1.NetworkServiceCreateResponse{Network: apiwire.NetworkToProto(n)}, nil
}

func (s fakeNetworks) List(context.Context, *apiserverv1.NetworkServiceListRequest) (*apiserverv1.NetworkServiceListResponse, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	out := &apiserverv1.NetworkServiceListResponse{}
	for _, n := range s.server.networks {
		out.Networks = append(out.Networks, apiwire.NetworkToProto(n))
	}
	return out, nil
}

func (s fakeNetworks) Get(_ context.Context, r *apiserverv1.NetworkServiceGetRequest) (*apiserverv1.NetworkServiceGetResponse, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, n := range s.server.networks {
		if n.Name == r.GetName() {
			return &apiserverv1.NetworkServiceGetResponse{Network: apiwire.NetworkToProto(n)}, nil
		}
	}
	return nil, fmt.Errorf("network %s: is not there: %w", r.GetName(), errdefs.ErrNotFound)
}

func (s fakeNetworks) Update(_ context.Context, r *apiserverv1.NetworkServiceUpdateRequest) (*apiserverv1.NetworkServiceUpdateResponse, error) {
	s.server.record("Networks.Update", r)
	return &apiserverv1.NetworkServiceUpdateResponse{Network: apiwire.NetworkToProto(sampleNetwork(r.GetName()))}, nil
}

func (s fakeNetworks) Delete(_ context.Context, r *apiserverv1.NetworkServiceDeleteRequest) (*apiserverv1.NetworkServiceDeleteResponse, error) {
	s.server.record("Networks.Delete", r)
	if r.GetName() == "default" {
		return nil, fmt.Errorf("network default: is built in and stays: %w", errdefs.ErrFailedPrecondition)
	}
	return &apiserverv1.NetworkServiceDeleteResponse{}, nil
}

func (s fakeNetworks) Prune(_ context.Context, r *apiserverv1.NetworkServicePruneRequest) (*apiserverv1.NetworkServicePruneResponse, error) {
	s.server.record("Networks.Prune", r)
	return &apiserverv1.NetworkServicePruneResponse{Deleted: []string{"web"}}, nil
}

type fakePlugins struct {
	apiserverv1connect.UnimplementedPluginServiceHandler
	server *fakeServer
}

func samplePlugins() []*apiserverv1.Plugin {
	return []*apiserverv1.Plugin{
		{
			Name: "bridge", Kind: "network", Abstract: "One Linux bridge per network", Protocol: 1, Directory: "/p/bridge", DefaultVariant: "nat",
			Variants:  []*apiserverv1.Variant{{Name: "internal", Strategy: "bridge-port"}, {Name: "nat", Strategy: "bridge-port"}},
			Instances: []*apiserverv1.PluginInstance{{Resource: "default", Pid: 12, State: "ready"}},
		},
		{Name: "oci", Kind: "runtime", Protocol: 1, Directory: "/p/oci", Strategies: []string{"bridge-port", "macvlan"}},
		{Name: "toy", Directory: "/p/toy", Fault: "plugin.toml:3:1: unknown key"},
	}
}

func (s fakePlugins) List(context.Context, *apiserverv1.PluginServiceListRequest) (*apiserverv1.PluginServiceListResponse, error) {
	return &apiserverv1.PluginServiceListResponse{Plugins: samplePlugins()}, nil
}

func (s fakePlugins) Get(_ context.Context, r *apiserverv1.PluginServiceGetRequest) (*apiserverv1.PluginServiceGetResponse, error) {
	for _, p := range samplePlugins() {
		if p.GetName() == r.GetName() {
			return &apiserverv1.PluginServiceGetResponse{Plugin: p}, nil
		}
	}
	return nil, fmt.Errorf("plugin %s: is not there: %w", r.GetName(), errdefs.ErrNotFound)
}

func (s fakePlugins) Restart(_ context.Context, r *apiserverv1.PluginServiceRestartRequest) (*apiserverv1.PluginServiceRestartResponse, error) {
	s.server.record("Plugins.Restart", r)
	switch r.GetName() {
	case "macvlan":
		return &apiserverv1.PluginServiceRestartResponse{}, nil
	case "toy":
		return nil, fmt.Errorf("network a: plugin toy: ended (exit status 1): no such device: %w", errdefs.ErrUnavailable)
	}
	return &apiserverv1.PluginServiceRestartResponse{Instances: []*apiserverv1.PluginInstance{{Resource: "default"}, {Resource: "web"}}}, nil
}

type fakeRegistries struct {
	apiserverv1connect.UnimplementedRegistryServiceHandler
	server *fakeServer
}

func (s fakeRegistries) Login(_ context.Context, r *apiserverv1.LoginRequest) (*apiserverv1.LoginResponse, error) {
	s.server.record("Registries.Login", r)
	if r.GetPassword() != "secret" {
		return nil, fmt.Errorf("registry %s: wrong password: %w", r.GetRegistry(), errdefs.ErrUnauthenticated)
	}
	return &apiserverv1.LoginResponse{}, nil
}

func (s fakeRegistries) Logout(_ context.Context, r *apiserverv1.LogoutRequest) (*apiserverv1.LogoutResponse, error) {
	s.server.record("Registries.Logout", r)
	return &apiserverv1.LogoutResponse{}, nil
}

func (s fakeRegistries) List(context.Context, *apiserverv1.RegistryServiceListRequest) (*apiserverv1.RegistryServiceListResponse, error) {
	return &apiserverv1.RegistryServiceListResponse{Logins: []*apiserverv1.RegistryLogin{{Registry: "registry.example.com", Username: "ci"}}}, nil
}

type fakeSystem struct {
	apiserverv1connect.UnimplementedSystemServiceHandler
	server *fakeServer
}

func (s fakeSystem) Info(context.Context, *apiserverv1.InfoRequest) (*apiserverv1.InfoResponse, error) {
	return &apiserverv1.InfoResponse{
		Version: "1.2.3", Revision: "abc", Pid: 42, StartedAt: message.NewTimestamp(time.Unix(1e9, 0)), Root: "/r", RunRoot: "/rr",
		PluginDirectories: []string{"/a", "/b"}, DefaultRuntime: "oci", DefaultNetworkPlugin: "bridge", Kernel: "6.1", OperatingSystem: "Debian",
		Architecture: "amd64", Processors: 2, MemoryBytes: 4e9, CgroupVersion: "2", ContainersRunning: 1, ContainersStopped: 2, Networks: 3, Images: 4,
		Checks: []*apiserverv1.HostCheck{{Name: "oci runtime", Ok: true, Detail: "crun"}, {Name: "overlay", Detail: "no kernel module"}},
	}, nil
}

// SetKernel knows of two kernels: one that is emulated, and one that is not.
func (s fakeSystem) SetKernel(_ context.Context, r *apiserverv1.SetKernelRequest) (*apiserverv1.SetKernelResponse, error) {
	s.server.record("System.SetKernel", r)
	k := &apiserverv1.Kernel{Release: "6.1-fast", Accelerator: "kvm", AcceleratorReason: "a guest answered"}
	if r.GetModules() != "" {
		k = &apiserverv1.Kernel{Release: "6.1-slow", Accelerator: "tcg", AcceleratorReason: "there is no /dev/kvm"}
	}
	return &apiserverv1.SetKernelResponse{Kernel: k}, nil
}

// WarmKernel boots for those who want 4 processors, and has a machine for all others.
func (s fakeSystem) WarmKernel(_ context.Context, r *apiserverv1.WarmKernelRequest, stream apiserverv1connect.SystemServiceWarmKernelServerStream) error {
	s.server.record("System.WarmKernel", r)
	if r.GetNanoCpus() == 4e9 {
		for _, step := range []string{"boot it", "save it"} {
			if err := stream.Send(&apiserverv1.WarmKernelResponse{Step: step}); err != nil {
				return err
			}
		}
	}
	if r.GetMemoryBytes() == 1<<20 {
		return fmt.Errorf("memory 1 MiB: too little: %w", errdefs.ErrFailedPrecondition)
	}
	return stream.Send(&apiserverv1.WarmKernelResponse{Template: sampleTemplate()})
}

func sampleTemplate() *apiserverv1.KernelTemplate {
	return &apiserverv1.KernelTemplate{
		MemoryBytes: 512 << 20, Processors: 4, Accelerator: "tcg", DiskBytes: 120e6, Uses: 3,
		BuiltAt: message.NewTimestamp(time.Now().Add(-2 * time.Hour)), UsedAt: message.NewTimestamp(time.Now().Add(-time.Hour)),
	}
}

func (s fakeSystem) GetKernel(context.Context, *apiserverv1.GetKernelRequest) (*apiserverv1.GetKernelResponse, error) {
	return &apiserverv1.GetKernelResponse{Kernel: &apiserverv1.Kernel{
		Release: "6.1", Source: "/k", Digest: "d", Modules: []string{"a.ko", "b.ko"}, AcceleratorReason: "vm.accelerator is kvm, but there is no /dev/kvm",
		Templates: []*apiserverv1.KernelTemplate{sampleTemplate()},
	}}, nil
}

func (s fakeSystem) Shutdown(_ context.Context, r *apiserverv1.ShutdownRequest) (*apiserverv1.ShutdownResponse, error) {
	s.server.record("System.Shutdown", r)
	close(s.server.shutdown)
	return &apiserverv1.ShutdownResponse{}, nil
}

type fakeContainers struct {
	apiserverv1connect.UnimplementedContainerServiceHandler
	server *fakeServer
}

func (s fakeContainers) find(name string) (*fakeContainer, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, c := range s.server.containers {
		if c.Name == name || c.ID == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("container %s: is not there: %w", name, errdefs.ErrNotFound)
}

func (s fakeContainers) Create(_ context.Context, r *apiserverv1.ContainerServiceCreateRequest) (*apiserverv1.ContainerServiceCreateResponse, error) {
	s.server.record("Containers.Create", r)
	return s.create(r)
}

func (s fakeContainers) create(r *apiserverv1.ContainerServiceCreateRequest) (*apiserverv1.ContainerServiceCreateResponse, error) {
	t, err := apiwire.ContainerTemplateFromProto(r.GetTemplate())
	if err != nil {
		return nil, err
	}
	if !s.server.hasImage(t.Image) {
		return nil, fmt.Errorf("image %s: %w; pull it with \"patchbay image pull %s\"", t.Image, errdefs.ErrNotFound, t.Image)
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	c := &fakeContainer{Container: resource.Container{Metadata: resource.Metadata{
		ID: fmt.Sprintf("%016x", len(s.server.containers)+1), Name: r.GetName(), CreatedAt: born, Labels: r.GetLabels(),
	}}}
	if c.Name == "" {
		c.Name = "made-up"
	}
	c.Configuration = resource.ContainerConfiguration{
		Image: t.Image, Hostname: t.Hostname, AutoRemove: t.AutoRemove, Networks: t.Networks, Ports: t.Ports, Runtime: cmp.Or(t.Runtime, "oci"),
		Process: resource.Process{Args: t.Command, Env: t.Env, Terminal: t.Terminal, Stdin: t.Stdin},
	}
	c.Status.State = resource.ContainerCreated
	s.server.containers = append(s.server.containers, c)
	return &apiserverv1.ContainerServiceCreateResponse{Container: apiwire.ContainerToProto(c.Container)}, nil
}

func (s fakeContainers) Start(_ context.Context, r *apiserverv1.ContainerServiceStartRequest) (*apiserverv1.ContainerServiceStartResponse, error) {
	s.server.record("Containers.Start", r)
	return s.start(r)
}

// Run gives the container an id of its own: goldens have none that is random.
func (s fakeContainers) Run(_ context.Context, r *apiserverv1.ContainerServiceRunRequest) (*apiserverv1.ContainerServiceRunResponse, error) {
	if !resource.IsID(r.GetId()) {
		return nil, fmt.Errorf("container id %q: %w", r.GetId(), errdefs.ErrInvalidArgument)
	}
	r.Id = ""
	s.server.record("Containers.Run", r)
	created, err := s.create(&apiserverv1.ContainerServiceCreateRequest{Name: r.GetName(), Labels: r.GetLabels(), Template: r.GetTemplate()})
	if err != nil {
		return nil, err
	}
	id := created.GetContainer().GetMetadata().GetId()
	started, err := s.start(&apiserverv1.ContainerServiceStartRequest{Name: id, Attach: r.GetAttach()})
	if err != nil {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.containers = slices.DeleteFunc(s.server.containers, func(c *fakeContainer) bool { return c.ID == id })
		return nil, err
	}
	return &apiserverv1.ContainerServiceRunResponse{Id: id, StdioSocket: started.GetStdioSocket(), Warnings: started.GetWarnings()}, nil
}

func (s fakeContainers) start(r *apiserverv1.ContainerServiceStartRequest) (*apiserverv1.ContainerServiceStartResponse, error) {
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	command := ""
	if args := c.Configuration.Process.Args; len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "missing":
		return nil, fmt.Errorf("container %s: exec: \"missing\": %w in the image", c.Name, errdefs.ErrNotFound)
	case "plain-file":
		return nil, fmt.Errorf("container %s: exec: \"plain-file\": cannot be executed: %w", c.Name, errdefs.ErrPermissionDenied)
	case "broken":
		return nil, fmt.Errorf("container %s: network web: does not serve: %w", c.Name, errdefs.ErrUnavailable)
	}
	s.server.run(c, r.GetAttach())
	return &apiserverv1.ContainerServiceStartResponse{StdioSocket: s.server.stdioSocket(), Warnings: warningsOf(c)}, nil
}

// warningsOf are what a start says of a container.
func warningsOf(c *fakeContainer) []string {
	if c.Configuration.Runtime == "slow" {
		return []string{"it is slow"}
	}
	return nil
}

func (f *fakeServer) processOf(c *fakeContainer) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return c.process
}

// run starts the container's program.
func (f *fakeServer) run(c *fakeContainer, attach bool) {
	p := f.newProcess("", attach, c.Configuration.Process)
	f.mu.Lock()
	c.process = p
	c.Status.State = resource.ContainerRunning
	f.called.Broadcast()
	f.mu.Unlock()
	go func() {
		p.run(c.Configuration.Process)
		f.mu.Lock()
		c.Status.State, c.Status.ExitCode = resource.ContainerStopped, p.code
		if c.Configuration.AutoRemove {
			f.containers = slices.DeleteFunc(f.containers, func(x *fakeContainer) bool { return x == c })
		}
		f.mu.Unlock()
		close(p.done)
	}()
}

func (f *fakeServer) newProcess(name string, attach bool, process resource.Process) *fakeProcess {
	stdin, in := io.Pipe()
	outSource, out, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	errSource, errs, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	attached := &signalWriter{written: make(chan struct{})}
	config := stdio.HubConfig{Stdin: in, Stdout: attached, Terminal: process.Terminal}
	if attach {
		config.AwaitAttach = stdio.DefaultAwaitAttach
	}
	p := &fakeProcess{
		hub: stdio.NewHub(config), stdin: stdin, out: out, errs: errs,
		signals: make(chan string, 8), done: make(chan struct{}), attached: attached.written,
	}
	p.hub.Copy(false, outSource)
	p.hub.Copy(true, errSource)
	f.stdio.Add(name, p.hub)
	return p
}

// run is the programs of the fake: see its cases.
func (p *fakeProcess) run(process resource.Process) {
	args := process.Args
	if len(args) == 0 {
		args = []string{"echo"}
	}
	switch args[0] {
	case "echo":
		fmt.Fprintln(p.out, strings.Join(args[1:], " "))
	case "warn":
		fmt.Fprintln(p.errs, strings.Join(args[1:], " "))
	case "fail":
		p.code, _ = strconv.Atoi(args[1])
	case "cat":
		_, _ = io.Copy(p.out, p.stdin)
	case "greet-cat":
		fmt.Fprintln(p.out, "ready")
		_, _ = io.Copy(p.out, p.stdin)
	case "wait-signal":
		fmt.Fprintln(p.out, "ready")
		name := <-p.signals
		fmt.Fprintln(p.out, "got "+name)
		p.code = 143
	case "chatter":
		for len(p.signals) == 0 {
			fmt.Fprintln(p.out, "still here")
		}
	case "ignore-signals":
		fmt.Fprintln(p.out, "ready")
		for <-p.signals != "SIGKILL" {
		}
		p.code = 137
	}
	p.out.Close()
	p.errs.Close()
	p.hub.ProcessEnded()
	p.hub.Drain()
	p.hub.Finish(stdio.Exit{Code: p.code})
}

func (p *fakeProcess) signal(name string) {
	select {
	case p.signals <- name:
	default:
	}
}

func (s fakeContainers) Kill(_ context.Context, r *apiserverv1.ContainerServiceKillRequest) (*apiserverv1.ContainerServiceKillResponse, error) {
	s.server.record("Containers.Kill", r)
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	process := s.server.processOf(c)
	if process == nil {
		return nil, fmt.Errorf("container %s: is not running: %w", c.Name, errdefs.ErrFailedPrecondition)
	}
	process.signal(r.GetSignal())
	return &apiserverv1.ContainerServiceKillResponse{}, nil
}

func (s fakeContainers) KillExec(_ context.Context, r *apiserverv1.ContainerServiceKillExecRequest) (*apiserverv1.ContainerServiceKillExecResponse, error) {
	s.server.record("Containers.KillExec", r)
	s.server.mu.Lock()
	process := s.server.findProcess(r.GetProcessId())
	s.server.mu.Unlock()
	if process == nil {
		return nil, fmt.Errorf("process %s: %w", r.GetProcessId(), errdefs.ErrNotFound)
	}
	process.signal(r.GetSignal())
	return &apiserverv1.ContainerServiceKillExecResponse{}, nil
}

func (s fakeContainers) Resize(_ context.Context, r *apiserverv1.ContainerServiceResizeRequest) (*apiserverv1.ContainerServiceResizeResponse, error) {
	s.server.record("Containers.Resize", r)
	return &apiserverv1.ContainerServiceResizeResponse{}, nil
}

func (s fakeContainers) Connect(_ context.Context, r *apiserverv1.ContainerServiceConnectRequest) (*apiserverv1.ContainerServiceConnectResponse, error) {
	s.server.record("Containers.Connect", r)
	if _, err := s.find(r.GetName()); err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceConnectResponse{Attachment: &typesv1.Attachment{InterfaceName: "eth1"}, Warnings: []string{"network web is failed"}}, nil
}

func (s fakeContainers) Disconnect(_ context.Context, r *apiserverv1.ContainerServiceDisconnectRequest) (*apiserverv1.ContainerServiceDisconnectResponse, error) {
	s.server.record("Containers.Disconnect", r)
	_, err := s.find(r.GetName())
	return &apiserverv1.ContainerServiceDisconnectResponse{}, err
}

func (s fakeContainers) Explain(_ context.Context, r *apiserverv1.ContainerServiceExplainRequest) (*apiserverv1.ContainerServiceExplainResponse, error) {
	s.server.record("Containers.Explain", r)
	if _, err := s.find(r.GetName()); err != nil {
		return nil, err
	}
	say := func(answer, why string) *typesv1.Explained { return &typesv1.Explained{Answer: answer, Why: why} }
	return &apiserverv1.ContainerServiceExplainResponse{Explanations: []*typesv1.Explanation{
		{
			Target: "db", Address: "10.0.0.7", Names: []*typesv1.Explained{say("unknown", "network web has nobody of that name")},
			Source: say("10.0.0.2", "of eth1"), Rule: say("1000: from 10.0.0.2 lookup 1003", "its own"), Route: say("10.0.0.0/24 dev eth1", "the subnet"),
			Gateway: say("none", "near"), Interface: say("eth1", "second"), Network: say("data", "plugged"), Plugin: say("bridge/nat", "serves"), Firewall: say("accepted", "a neighbour"),
		},
		{Target: "198.41.0.4", Address: "198.41.0.4", Route: say("none", "no gateway")},
	}}, nil
}

func (s fakeContainers) Wait(ctx context.Context, r *apiserverv1.ContainerServiceWaitRequest) (*apiserverv1.ContainerServiceWaitResponse, error) {
	s.server.record("Containers.Wait", r)
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	if process := s.server.processOf(c); process != nil {
		select {
		case <-process.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return &apiserverv1.ContainerServiceWaitResponse{ExitCode: int32(c.Status.ExitCode)}, nil
}

func (s fakeContainers) Stop(_ context.Context, r *apiserverv1.ContainerServiceStopRequest) (*apiserverv1.ContainerServiceStopResponse, error) {
	s.server.record("Containers.Stop", r)
	_, err := s.find(r.GetName())
	return &apiserverv1.ContainerServiceStopResponse{}, err
}

func (s fakeContainers) Restart(_ context.Context, r *apiserverv1.ContainerServiceRestartRequest) (*apiserverv1.ContainerServiceRestartResponse, error) {
	s.server.record("Containers.Restart", r)
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceRestartResponse{Warnings: warningsOf(c)}, nil
}

func (s fakeContainers) Delete(_ context.Context, r *apiserverv1.ContainerServiceDeleteRequest) (*apiserverv1.ContainerServiceDeleteResponse, error) {
	s.server.record("Containers.Delete", r)
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.containers = slices.DeleteFunc(s.server.containers, func(x *fakeContainer) bool { return x == c })
	return &apiserverv1.ContainerServiceDeleteResponse{}, nil
}

func (s fakeContainers) List(_ context.Context, r *apiserverv1.ContainerServiceListRequest) (*apiserverv1.ContainerServiceListResponse, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	out := &apiserverv1.ContainerServiceListResponse{}
	convert := apiwire.ContainerToProto
	if r.GetBrief() {
		convert = apiwire.ContainerBriefToProto
	}
	for _, c := range s.server.containers {
		if r.GetAll() || c.Status.State == resource.ContainerRunning {
			out.Containers = append(out.Containers, convert(c.Container))
		}
	}
	return out, nil
}

func (s fakeContainers) Get(_ context.Context, r *apiserverv1.ContainerServiceGetRequest) (*apiserverv1.ContainerServiceGetResponse, error) {
	c, err := s.find(r.GetName())
	if err != nil {
		return nil, err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return &apiserverv1.ContainerServiceGetResponse{Container: apiwire.ContainerToProto(c.Container)}, nil
}

func (s fakeContainers) Logs(_ context.Context, r *apiserverv1.ContainerServiceLogsRequest, stream apiserverv1connect.ContainerServiceLogsServerStream) error {
	if r.GetSince() != nil {
		r.Since = nil // differs every time
		r.Name += " since"
	}
	s.server.record("Containers.Logs", r)
	at := message.NewTimestamp(time.Unix(1e9, 5))
	for _, entry := range []*apiserverv1.ContainerServiceLogsResponse{
		{Time: at, Data: []byte("one\ntw")}, {Time: at, Stderr: true, Data: []byte("warning\n")}, {Time: at, Data: []byte("o\n")},
	} {
		if err := stream.Send(entry); err != nil {
			return err
		}
	}
	return nil
}

func (s fakeContainers) Exec(_ context.Context, r *apiserverv1.ContainerServiceExecRequest) (*apiserverv1.ContainerServiceExecResponse, error) {
	s.server.record("Containers.Exec", r)
	process := wire.ProcessFromProto(r.GetProcess())
	if process.Args[0] == "missing" {
		return nil, fmt.Errorf("container %s: exec: \"missing\": %w in the image", r.GetName(), errdefs.ErrNotFound)
	}
	if _, err := s.find(r.GetName()); err != nil {
		return nil, err
	}
	s.server.mu.Lock()
	id := execName(len(s.server.execs))
	p := s.server.newProcess(id, !r.GetDetach(), process)
	s.server.execs = append(s.server.execs, p)
	s.server.called.Broadcast()
	s.server.mu.Unlock()
	go p.run(process)
	return &apiserverv1.ContainerServiceExecResponse{ProcessId: id, StdioSocket: s.server.stdioSocket()}, nil
}

type fakeImages struct {
	apiserverv1connect.UnimplementedImageServiceHandler
	server *fakeServer
}

func (f *fakeServer) hasImage(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.images, func(i *apiserverv1.Image) bool {
		return slices.Contains(i.GetStatus().GetReferences(), name) || slices.Contains(i.GetStatus().GetReferences(), name+":latest")
	})
}

func (s fakeImages) Get(_ context.Context, r *apiserverv1.ImageServiceGetRequest) (*apiserverv1.ImageServiceGetResponse, error) {
	if !s.server.hasImage(r.GetName()) {
		return nil, fmt.Errorf("image %s: is not there: %w", r.GetName(), errdefs.ErrNotFound)
	}
	return &apiserverv1.ImageServiceGetResponse{Image: sampleImage(r.GetName())}, nil
}

func (s fakeImages) List(context.Context, *apiserverv1.ImageServiceListRequest) (*apiserverv1.ImageServiceListResponse, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return &apiserverv1.ImageServiceListResponse{Images: s.server.images}, nil
}

func (s fakeImages) Pull(_ context.Context, r *apiserverv1.ImageServicePullRequest, stream apiserverv1connect.ImageServicePullServerStream) error {
	s.server.record("Images.Pull", r)
	if r.GetReference() == "nowhere" {
		return fmt.Errorf("image nowhere: no such repository: %w", errdefs.ErrNotFound)
	}
	for _, p := range []*apiserverv1.Progress{
		{Step: "resolve"},
		{Id: "sha256:" + strings.Repeat("cd", 32), Step: "download", Current: 1, Total: 1000},
		{Id: "sha256:" + strings.Repeat("cd", 32), Step: "download", Current: 1000, Total: 1000},
		{Id: "sha256:" + strings.Repeat("cd", 32), Step: "unpack"},
	} {
		if err := stream.Send(&apiserverv1.ImageServicePullResponse{Progress: p}); err != nil {
			return err
		}
	}
	image := sampleImage(r.GetReference())
	s.server.mu.Lock()
	s.server.images = append(s.server.images, image)
	s.server.mu.Unlock()
	return stream.Send(&apiserverv1.ImageServicePullResponse{Image: image})
}

func (s fakeImages) Push(_ context.Context, r *apiserverv1.ImageServicePushRequest, stream apiserverv1connect.ImageServicePushServerStream) error {
	s.server.record("Images.Push", r)
	return stream.Send(&apiserverv1.ImageServicePushResponse{Digest: "sha256:" + strings.Repeat("ef", 32)})
}

func (s fakeImages) Load(_ context.Context, stream apiserverv1connect.ImageServiceLoadServerStream) (*apiserverv1.ImageServiceLoadResponse, error) {
	var data []byte
	first := true
	for {
		r, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		data = append(data, r.GetData()...)
		if r.Data = nil; first {
			s.server.record("Images.Load", r)
		}
		first = false
		if bytes.HasPrefix(data, []byte("corrupt")) {
			return nil, fmt.Errorf("archive: no manifest.json and no index.json: %w", errdefs.ErrInvalidArgument)
		}
	}
	return &apiserverv1.ImageServiceLoadResponse{Images: []*apiserverv1.Image{sampleImage(fmt.Sprintf("loaded:%d", len(data)))}}, nil
}

func (s fakeImages) Import(_ context.Context, stream apiserverv1connect.ImageServiceImportServerStream) (*apiserverv1.ImageServiceImportResponse, error) {
	size, first := 0, true
	for {
		r, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return &apiserverv1.ImageServiceImportResponse{Image: &apiserverv1.Image{
				Configuration: &apiserverv1.ImageConfiguration{Digest: fmt.Sprintf("sha256:%064d", size)},
			}}, nil
		}
		if err != nil {
			return nil, err
		}
		size += len(r.GetData())
		if r.Data = nil; first {
			s.server.record("Images.Import", r)
		}
		first = false
	}
}

func (s fakeImages) Save(_ context.Context, r *apiserverv1.ImageServiceSaveRequest, stream apiserverv1connect.ImageServiceSaveServerStream) error {
	s.server.record("Images.Save", r)
	if err := stream.Send(&apiserverv1.ImageServiceSaveResponse{Data: []byte("half ")}); err != nil {
		return err
	}
	if slices.Contains(r.GetNames(), "broken") {
		return fmt.Errorf("image broken: a blob is damaged: %w", errdefs.ErrDataLoss)
	}
	return stream.Send(&apiserverv1.ImageServiceSaveResponse{Data: []byte("whole")})
}

func (s fakeImages) Tag(_ context.Context, r *apiserverv1.ImageServiceTagRequest) (*apiserverv1.ImageServiceTagResponse, error) {
	s.server.record("Images.Tag", r)
	return &apiserverv1.ImageServiceTagResponse{}, nil
}

func (s fakeImages) Delete(_ context.Context, r *apiserverv1.ImageServiceDeleteRequest) (*apiserverv1.ImageServiceDeleteResponse, error) {
	s.server.record("Images.Delete", r)
	return &apiserverv1.ImageServiceDeleteResponse{Untagged: []string{r.GetName()}, Deleted: []string{"sha256:" + strings.Repeat("ab", 32)}}, nil
}

func (s fakeImages) Prune(_ context.Context, r *apiserverv1.ImageServicePruneRequest) (*apiserverv1.ImageServicePruneResponse, error) {
	s.server.record("Images.Prune", r)
	return &apiserverv1.ImageServicePruneResponse{Deleted: []string{"sha256:" + strings.Repeat("ab", 32)}, ReclaimedBytes: 4_200_000}, nil
}
