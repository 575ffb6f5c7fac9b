package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/oci/initproc"
	"patchbay.dev/patchbay/internal/runtime/oci/program"
	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/tapstream"
	"patchbay.dev/patchbay/resource"
)

// Config is what an Engine needs.
type Config struct {
	ID       string // of the sandbox
	StateDir string // absolute; the helper's own directory
	CacheDir string // shared with other helpers; empty: none
}

// Engine makes one container. The process it is in is process 1 of a PID
// namespace, waits for all of its children by the engine alone, and ends with
// the container.
type Engine struct {
	config  Config
	host    *outer.Host
	reaper  *reaper.Reaper
	program program.Program
	group   cgroup.Group
	rates   outer.Rates

	network       <-chan madeNetwork    // gives the network's namespace, once
	ahead         <-chan ahead          // gives what was made of the main process, once
	capabilities  func() []string       // that can be given
	namespace     *netns.Namespace      // nil before Isolate
	sandbox       sandbox.Configuration // set by Prepare
	told          sandbox.Configuration // what the generated files say; set by Prepare and Rewrite
	process       *specs.Process        // set by Prepare
	specification []byte                // set by Prepare, for Create
	filters       filterCache           // set by Prepare; with a key when the filter is not cached yet

	mu    sync.Mutex
	main  *mainProcess               // guarded by mu; nil before Create
	pumps map[string]*tapstream.Pump // guarded by mu; by interface
	// borrowed are the devices of the host that are interfaces, with what had gone
	// over them when they became that.
	borrowed map[string]inspect.Counters // guarded by mu
}

var _ sandbox.Engine = (*Engine)(nil)

func (e *Engine) path(name string) string { return filepath.Join(e.config.StateDir, name) }

// Isolate returns the network namespace that Prepare has begun to make.
func (e *Engine) Isolate(ctx context.Context) (string, error) {
	select {
	case made := <-e.network:
		if made.err != nil {
			return "", fmt.Errorf("network namespace: %w", made.err)
		}
		e.namespace = made.namespace
		return e.reach(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// reach is the path by which network plugins open the network namespace.
func (e *Engine) reach() string {
	return fmt.Sprintf("/proc/%d/fd/%d", e.host.PID(), e.namespace.FD())
}

// Prepare mounts the root file system, fills volumes, and writes the generated
// files. What the OCI runtime is to make is known then.
func (e *Engine) Prepare(_ context.Context, c sandbox.Configuration) error {
	if err := rootfs.Mount(c.RootFilesystem, e.path("rootfs"), e.path("empty")); err != nil {
		return err
	}
	root, err := rootfs.Open(e.path("rootfs"))
	if err != nil {
		return err
	}
	defer root.Close()
	user, err := root.User(c.Process.User, c.Process.AdditionalGroups)
	if err != nil {
		return err
	}
	if err := prepareMounts(root, c); err != nil {
		return err
	}
	if dir := c.Process.WorkingDirectory; dir != "" && dir != "/" {
		if err := root.MakeDirectory(dir, user); err != nil {
			return err
		}
	}
	files, err := e.writeFiles(c)
	if err != nil {
		return err
	}
	s, err := spec.New(spec.Config{
		Sandbox:          c,
		User:             user,
		RootDirectory:    e.path("rootfs"),
		NetworkNamespace: fmt.Sprintf("/proc/1/fd/%d", e.namespace.FD()),
		CgroupPath:       cgroup.Path(e.config.ID),
		CgroupV2:         cgroup.CurrentMode() == cgroup.V2,
		AllCapabilities:  e.capabilities(),
		OpenFiles:        maxOpenFiles(),
		Files:            files,
		InitBinary:       ownBinary(c.Init),
	})
	if err != nil {
		return err
	}
	e.sandbox, e.told, e.process = c, c, s.Process
	if c.Init {
		forInit(s)
	}
	if cache := newFilterCache(e.config.CacheDir, e.program.Path, s); !cache.apply(s) {
		e.filters = cache
	}
	e.specification, err = spec.Marshal(s)
	return err
}

// forInit gives the minimal init what it needs beside the command. What further
// processes are derived from is left alone.
func forInit(s *specs.Spec) {
	process := *s.Process
	process.Env = initproc.Environment(process.Env)
	s.Process = &process
	if pids := s.Linux.Resources.Pids; pids != nil && pids.Limit != nil {
		limit := *pids.Limit + initproc.Threads
		pids.Limit = &limit
	}
}

// maxOpenFiles is the helper's own hard limit; root may not raise it everywhere.
func maxOpenFiles() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return l.Max
}

// ownBinary is the path of this program, which is the minimal init too.
func ownBinary(needed bool) string {
	if !needed {
		return ""
	}
	path, err := os.Executable()
	if err != nil {
		return "/proc/1/exe"
	}
	return path
}

// prepareMounts checks that the sources are there and fills empty volumes from
// the image. All faults are reported at once.
func prepareMounts(root *rootfs.Root, c sandbox.Configuration) error {
	var faults []error
	for _, m := range c.Mounts {
		if m.Type == resource.MountTmpfs {
			continue
		}
		if _, err := os.Stat(m.Source); err != nil {
			faults = append(faults, fmt.Errorf("mount %s: source %s: %w: %w", m.Target, m.Source, errdefs.ErrInvalidArgument, errors.Unwrap(err)))
			continue
		}
		if m.Type == resource.MountVolume {
			if err := root.Fill(m); err != nil {
				faults = append(faults, err)
			}
		}
	}
	return errors.Join(faults...)
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Free kills the container and lets its network namespace go.
func (e *Engine) Free(ctx context.Context) error {
	e.mu.Lock()
	main, pumps := e.main, slices.Collect(maps.Values(e.pumps))
	e.mu.Unlock()
	if main != nil {
		// The kernel kills the rest of its PID namespace with it.
		if err := main.Signal(unix.SIGKILL); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
		select {
		case <-main.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, p := range pumps {
		p.Close()
	}
	err := e.rates.Remove()
	if e.namespace != nil {
		err = errors.Join(err, e.namespace.Close())
	}
	return err
}

// Destroy is Free, and removes the control group, the mounts and the OCI runtime's state.
func (e *Engine) Destroy(ctx context.Context) error {
	if err := e.Free(ctx); err != nil {
		return err
	}
	return errors.Join(
		e.group.Remove(ctx),
		rootfs.Unmount(e.path("rootfs")),
		os.RemoveAll(e.program.Root()),
	)
}

// Cleanup removes what a helper that was killed can leave on the host: the
// control group, the OCI runtime's state and what holds rates. It is called outside of the
// helper's namespaces, as often as one likes.
func Cleanup(ctx context.Context, c Config) error {
	group, err := cgroup.Of(c.ID)
	if err != nil {
		return err
	}
	p := program.Program{StateDir: c.StateDir}
	return errors.Join(group.Remove(ctx), os.RemoveAll(p.Root()), outer.RemoveRates(c.ID))
}
