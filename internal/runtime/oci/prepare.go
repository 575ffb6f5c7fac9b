package oci

import (
	"errors"
	"sync"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
	"patchbay.dev/patchbay/internal/runtime/oci/program"
	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/tapstream"
)

// Preparation is all of an engine that needs no sandbox to be known: the helper's
// namespaces, a network, and the OCI runtime on standby.
type Preparation struct {
	cacheDir string
	host     *outer.Host
	reaper   *reaper.Reaper
	groups   cgroup.Hierarchies
	program  program.Program // without its directory
	network  chan madeNetwork
	ahead    chan ahead

	// capabilities are those that can be given (spec.AllCapabilities).
	capabilities func() []string
}

// madeNetwork is a network namespace, or why there is none.
type madeNetwork struct {
	namespace *netns.Namespace
	err       error
}

// Prepare moves the calling process into the namespaces that it was started in. What
// takes longer goes on in the background. Without an OCI runtime on the host it
// is errdefs.ErrFailedPrecondition. The directory is the helper's own, until the sandbox
// says which that is; the one for what helpers share may be empty for none.
func Prepare(directory, cacheDir string) (*Preparation, error) {
	path, err := program.Find()
	if err != nil {
		return nil, err
	}
	h, err := outer.MoveIn()
	if err != nil {
		return nil, err
	}
	if err := cgroup.HideUnified(); err != nil {
		return nil, err
	}
	groups, err := cgroup.Find()
	if err != nil {
		return nil, err
	}
	children := reaper.Start()
	p := &Preparation{
		cacheDir: cacheDir, host: h, reaper: children, groups: groups,
		program: program.Program{Path: path, ID: program.NewID(), Reaper: children},
		network: make(chan madeNetwork, 1), ahead: make(chan ahead, 1),
		capabilities: sync.OnceValue(spec.AllCapabilities),
	}
	// The kernel takes its time while it ends other namespaces; until the helper is told
	// what to make, there is some.
	go func() {
		p.network <- makeNetwork()
		spec.Learn() // Engine.Prepare needs both
		p.capabilities()
		p.ahead <- makeAhead(p.program, directory)
	}()
	return p, nil
}

// Engine returns the engine of a sandbox. It is called once.
func (p *Preparation) Engine(id, stateDir string) (*Engine, error) {
	path, err := program.Find() // others may have been installed meanwhile
	if err != nil {
		return nil, err
	}
	runtime := p.program
	runtime.Path, runtime.StateDir = path, stateDir
	return &Engine{
		config: Config{ID: id, StateDir: stateDir, CacheDir: p.cacheDir},
		host:   p.host, reaper: p.reaper, group: p.groups.Group(id), rates: outer.Rates{Sandbox: id},
		program: runtime, network: p.network, ahead: p.ahead, capabilities: p.capabilities,
		pumps: map[string]*tapstream.Pump{}, borrowed: map[string]inspect.Counters{},
	}, nil
}

// makeNetwork makes a network namespace with its loopback up and the settings of its
// interfaces to come.
func makeNetwork() madeNetwork {
	ns, err := netns.New()
	if err != nil {
		return madeNetwork{err: err}
	}
	within, err := link.Open(ns)
	if err == nil {
		err = errors.Join(within.LoopbackUp(), within.Inside(sysctl.PrepareNamespace))
		within.Close()
	}
	if err != nil {
		return madeNetwork{err: errors.Join(err, ns.Close())}
	}
	return madeNetwork{namespace: ns}
}
