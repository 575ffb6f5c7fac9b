package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/vm/guest/devices"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// service answers the host.
type service struct {
	session *yamux.Session

	hostname string            // set by Configure
	readOnly bool              // set by Configure
	files    map[string]string // set by Configure; by path in the container

	mu        sync.Mutex
	processes map[string]*process // guarded by mu; "" is the main one
	main      launch              // guarded by mu
	spec      *specs.Process      // guarded by mu; of the main process
}

func newService(session *yamux.Session) *service {
	return &service{session: session, processes: make(map[string]*process)}
}

// Configure makes the root file system and what is the machine's alone.
func (s *service) Configure(ctx context.Context, r *guestv1.ConfigureRequest) (*guestv1.ConfigureResponse, error) {
	if err := errors.Join(
		seed(r.GetEntropy()),
		setClock(time.Unix(0, r.GetUnixNanoseconds())),
		identify(r.GetHostname()),
		makeGroup(r.GetPids()),
	); err != nil {
		return nil, err
	}
	if err := mountRoot(ctx, r.GetRootSerial(), r.GetScratchSerial()); err != nil {
		return nil, err
	}
	if tag := r.GetShare(); tag != "" {
		if err := devices.MountShare(ctx, tag, sharesDir); err != nil {
			return nil, err
		}
	}
	files, err := writeFiles(r.GetFiles())
	if err != nil {
		return nil, err
	}
	s.hostname, s.readOnly, s.files = r.GetHostname(), r.GetReadOnly(), files
	return &guestv1.ConfigureResponse{}, nil
}

// Create makes the mounts and the main process.
func (s *service) Create(_ context.Context, r *guestv1.CreateRequest) (*guestv1.CreateResponse, error) {
	root, err := rootfs.Open(newRoot)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p, mounts := wire.ProcessFromProto(r.GetProcess()), shared(wire.MountsFromProto(r.GetMounts()))
	user, err := root.User(p.User, p.AdditionalGroups)
	if err != nil {
		return nil, err
	}
	if dir := p.WorkingDirectory; dir != "" && dir != "/" {
		if err := root.MakeDirectory(dir, user); err != nil {
			return nil, err
		}
	}
	container, err := spec.New(spec.Config{
		Sandbox: sandbox.Configuration{
			Hostname: s.hostname, Process: p, Mounts: mounts, Init: r.GetInit(),
			CapabilitiesAdd: r.GetCapabilitiesAdd(), CapabilitiesDrop: r.GetCapabilitiesDrop(),
		},
		User: user, CgroupV2: true, AllCapabilities: spec.AllCapabilities(), OpenFiles: 524288,
		Files: s.files, InitBinary: "/init",
	})
	if err != nil {
		return nil, err
	}
	if err := mountAll(container.Mounts); err != nil {
		return nil, err
	}
	if err := root.Command(p.Args, container.Process.Env, container.Process.Cwd); err != nil {
		return nil, err
	}
	if s.readOnly {
		if err := makeReadOnly(); err != nil {
			return nil, err
		}
	}
	l := launch{
		stage:    stage{Process: *container.Process, MountProc: true, Gate: true},
		terminal: p.Terminal, stdin: p.Stdin, streams: true,
	}
	main, err := start(s.session, l)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[""], s.main, s.spec = main, l, container.Process
	return &guestv1.CreateResponse{}, nil
}

// shared gives mounts of the host's files and directories their place in the guest.
func shared(mounts []resource.Mount) []resource.Mount {
	for i, m := range mounts {
		if m.Type != resource.MountTmpfs {
			mounts[i].Source = filepath.Join(sharesDir, m.Source)
		}
	}
	return mounts
}

// Start lets the main process begin.
func (s *service) Start(context.Context, *guestv1.StartRequest) (*guestv1.StartResponse, error) {
	main, err := s.process("")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.main
	s.mu.Unlock()
	return &guestv1.StartResponse{}, main.begin(l)
}

// Exec starts a further process.
func (s *service) Exec(_ context.Context, r *guestv1.ExecRequest) (*guestv1.ExecResponse, error) {
	main, err := s.process("")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	of := s.spec
	s.mu.Unlock()
	root, err := rootfs.Open(newRoot)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p := wire.ProcessFromProto(r.GetProcess())
	user, err := root.User(p.User, p.AdditionalGroups)
	if err != nil {
		return nil, err
	}
	process := spec.Exec(of, p, user, r.GetPrivileged(), spec.AllCapabilities())
	if err := root.Command(p.Args, process.Env, process.Cwd); err != nil {
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(main.cmd.Process.Pid, 0)
	if err != nil {
		return nil, fmt.Errorf("the main process has ended: %w: %w", errdefs.ErrFailedPrecondition, err)
	}
	defer unix.Close(pidfd)
	started, err := start(s.session, launch{
		id: r.GetProcessId(), stage: stage{Process: *process},
		terminal: p.Terminal, stdin: p.Stdin, streams: !r.GetDetach() || p.Terminal, namespace: pidfd,
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[r.GetProcessId()] = started
	return &guestv1.ExecResponse{}, nil
}

func (s *service) process(id string) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[id]
	if p == nil {
		return nil, fmt.Errorf("process %q: not found in the guest: %w", id, errdefs.ErrNotFound)
	}
	return p, nil
}

// Signal sends a signal to a process or to all.
func (s *service) Signal(_ context.Context, r *guestv1.SignalRequest) (*guestv1.SignalResponse, error) {
	number := syscall.Signal(r.GetSignal())
	if r.GetAll() {
		return &guestv1.SignalResponse{}, signalAll(number)
	}
	p, err := s.process(r.GetProcessId())
	if err != nil {
		return nil, err
	}
	return &guestv1.SignalResponse{}, p.signal(number)
}

func signalAll(number syscall.Signal) error {
	list, err := os.ReadFile(filepath.Join(groupDir, "cgroup.procs"))
	if err != nil {
		return err
	}
	var errs []error
	for field := range strings.FieldsSeq(string(list)) {
		pid, err := strconv.Atoi(field)
		if err == nil {
			err = syscall.Kill(pid, number)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("process %s: %w", field, err))
		}
	}
	return errors.Join(errs...)
}

// Resize sets the size of a terminal.
func (s *service) Resize(_ context.Context, r *guestv1.ResizeRequest) (*guestv1.ResizeResponse, error) {
	p, err := s.process(r.GetProcessId())
	if err != nil {
		return nil, err
	}
	return &guestv1.ResizeResponse{}, p.resize(r.GetWidth(), r.GetHeight())
}

// Wait returns when a process has ended and the host has been sent all that it had written. One other
// than the main process is forgotten then.
func (s *service) Wait(ctx context.Context, r *guestv1.WaitRequest) (*guestv1.WaitResponse, error) {
	p, err := s.process(r.GetProcessId())
	if err != nil {
		return nil, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.id != "" {
		s.mu.Lock()
		delete(s.processes, p.id)
		s.mu.Unlock()
	}
	unix.Sync() // what is on the scratch disk outlives the machine
	return &guestv1.WaitResponse{Code: int32(p.code), OutOfMemory: oomKills() > 0}, nil
}

// oomKills is how many of the container's processes the kernel has killed for want
// of memory (cgroup-v2.rst, memory.events).
func oomKills() int {
	data, err := os.ReadFile(filepath.Join(groupDir, "memory.events"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
