// Package containers is the container service of patchbayd: it stores what
// users ask of containers, starts a runtime helper for each that runs, watches
// it, and takes away what it leaves.
//
// # Concurrency
//
// A container is claimed, not locked: Start claims its run, Delete its
// deletion, Connect and Disconnect a change of its networks, a copy the files of one
// that does not run, under the service's
// one short lock, and everything that takes time goes on without any. So nothing
// that happens to one container waits for another.
//
// # Truth
//
// What runs is never stored. It is asked of the runtime helper; when that is
// gone, the exit file it wrote tells how it ended, and a helper that died
// without one took its container with it.
package containers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/containers/aftermath"
	"patchbay.dev/patchbay/internal/apiserver/containers/census"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/errand"
	"patchbay.dev/patchbay/internal/apiserver/containers/index"
	"patchbay.dev/patchbay/internal/apiserver/containers/launch"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/reach"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/apiserver/containers/request"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/apiserver/containers/stored"
	"patchbay.dev/patchbay/internal/apiserver/containers/waits"
	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/resource"
)

// Images is what the service needs of the image service.
type Images interface {
	request.Images
	launch.Images
}

// Networks is what the service needs of the network service.
type Networks interface {
	request.Networks
	leases.Networks
}

// Config is what a Service needs. Fields without a default are required.
type Config struct {
	Roots    layout.Roots
	Records  stored.Records
	Images   Images
	Networks Networks
	Runtimes request.Runtimes
	// DefaultRuntime is that of containers which name none.
	DefaultRuntime string
	// LogLimits are those of containers that have none of their own.
	LogLimits resource.LogLimits
	// Standby is how many runtime helpers wait for a container; 0: none.
	Standby int
	// ReadyTimeout bounds how long a runtime helper may take until it answers;
	// default 10 s.
	ReadyTimeout time.Duration
	// StartTimeout bounds how long it may take then until the main process
	// runs; default 2 min, for copies of large volumes.
	StartTimeout time.Duration
	// RuntimeEnvironment is told to the programs of runtimes, KEY=VALUE.
	RuntimeEnvironment []string
	// StatusTimeout bounds how long it may take to tell its state; default
	// 500 ms.
	StatusTimeout time.Duration
	// AskedByList is how many helpers are asked at most for a list whether they still
	// answer. Default 16.
	AskedByList int
	// StatsTimeout bounds how long it may take to tell what its container has used;
	// default 1 s.
	StatsTimeout time.Duration
	// ChangeTimeout bounds how long it may take to make an interface or to take one out;
	// default 45 s: the guest of a virtual machine has 30 s, the plugin of a network 10 s to
	// confirm a lease, and who waits for them says so.
	ChangeTimeout time.Duration
	// GraceTimeout bounds how long anything else may take that a helper is asked
	// for, such as its exit after its container's; default 5 s.
	GraceTimeout time.Duration
	// Launch starts helpers; default helper.Start.
	Launch func(helper.Config) (*helper.Process, error)
	Log    *slog.Logger
	Events report.Events // nil: nobody is told
}

func (c *Config) complete() {
	c.LogLimits = c.LogLimits.Or(resource.DefaultLogLimits())
	c.AskedByList = cmp.Or(c.AskedByList, 16)
	c.ReadyTimeout = cmp.Or(c.ReadyTimeout, 10*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, 2*time.Minute)
	c.StatusTimeout = cmp.Or(c.StatusTimeout, 500*time.Millisecond)
	c.StatsTimeout = cmp.Or(c.StatsTimeout, time.Second)
	c.ChangeTimeout = cmp.Or(c.ChangeTimeout, 45*time.Second)
	c.GraceTimeout = cmp.Or(c.GraceTimeout, 5*time.Second)
	if c.Launch == nil {
		c.Launch = helper.Start
	}
}

// Service keeps the containers. It is safe for concurrent use.
type Service struct {
	reach.Calls
	census.Census
	config   Config
	checker  request.Checker
	programs *runtimehelper.Programs
	launcher launch.Launcher
	errands  *errand.Errands
	left     *aftermath.Set // what is left of runs that have ended
	rounds   *inturn.Rounds

	life    context.Context // ends with Close
	end     context.CancelFunc
	waits   waits.Waits    // end with Drain
	running sync.WaitGroup // watchers and deletions that nobody waits for

	// choosing is held while host ports are chosen and until they are known by
	// an entry: nobody else chooses the same ones.
	choosing sync.Mutex

	mu       sync.Mutex
	index    index.Index[*entry] // guarded by mu
	draining bool                // no more starts; guarded by mu
	closed   bool                // no more goroutines; guarded by mu
}

// entry is one container.
type entry struct {
	*stored.Container
	gone chan struct{}

	// Guarded by Service.mu:
	deleting bool          // a deletion has begun and has to be finished
	creating bool          // not acknowledged yet, to be hidden
	run      *run          // nil: it does not run
	last     *disk.Exit    // of the last run; nil: none that is known
	deletion *deletion     // in progress; nil: none
	released bool          // has ended to be deleted: nothing is reserved for it any more
	change   chan struct{} // of its networks, or a copy, closed when it is done; nil: none
	shown    status.Shown  // to who asked last
	copying  bool          // the change is a copy while it does not run, which takes as long as its client likes
}

func (s *Service) newEntry(c record.Container) *entry {
	return &entry{Container: stored.New(s.config.Records, c), gone: make(chan struct{}), deleting: c.Deleting}
}

// Hidden completes index.Entry.
func (e *entry) Hidden() bool { return e.creating }

// New returns a service with the containers in the records. Records that cannot
// be read are an error, since their containers would be taken for left-overs.
func New(c Config) (*Service, error) {
	c.complete()
	stored, err := c.Records.List()
	if err != nil {
		return nil, fmt.Errorf("read containers: %w", err)
	}
	s := &Service{
		config:  c,
		checker: request.Checker{Images: c.Images, Networks: c.Networks, Runtimes: c.Runtimes, DefaultRuntime: c.DefaultRuntime},
		programs: runtimehelper.New(runtimehelper.Config{
			Roots: c.Roots, Launch: c.Launch, ReadyTimeout: c.ReadyTimeout, GraceTimeout: c.GraceTimeout,
			Standby: c.Standby, Settings: c.RuntimeEnvironment, Log: c.Log,
		}),
		index: index.New[*entry](),
	}
	s.left = aftermath.NewSet(s.programs)
	s.errands = errand.New(s.programs.Errand, c.Log)
	s.life, s.end = context.WithCancel(context.Background())
	s.rounds = inturn.NewRounds(c.AskedByList, s.background)
	s.waits = waits.New(s.life)
	s.launcher = launch.Launcher{
		Roots: c.Roots, Images: c.Images, Networks: c.Networks, Runtimes: c.Runtimes, Programs: s.programs,
		Timeout: c.StartTimeout, Grace: c.GraceTimeout, LogLimits: c.LogLimits, Log: c.Log,
	}
	s.Census = census.Census{Of: s}
	s.Calls = reach.Calls{Containers: reachable{s}, Timeout: c.StartTimeout, GraceTimeout: c.GraceTimeout, StatsTimeout: c.StatsTimeout}
	for _, r := range stored {
		e := s.newEntry(r)
		e.last = disk.ReadExit(c.Roots.Container(r.ID))
		s.index.Put(e)
	}
	return s, nil
}

// Drain ends the calls that wait for containers, so that they do not hold up the
// end of the server: Wait, WaitExec and Logs that follow. They fail with
// errdefs.ErrUnavailable. No start is accepted any more.
func (s *Service) Drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.waits.End()
}

// closeTimeout bounds how long the end of patchbayd waits for that of helpers whose runs have
// ended.
const closeTimeout = time.Second

// Close ends watching and waits for it, and ends helpers that wait for a container.
// Containers go on. What is left of runs that have ended is taken away first, but for what a
// helper keeps that stays: to the next patchbayd they would seem to run until it knows better.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.life, closeTimeout)
	s.left.Wait(ctx)
	cancel()
	s.end()
	s.running.Wait()
	s.programs.Close()
	for _, e := range s.all() {
		if r, err := s.needRun(e); err == nil {
			r.Client.Close()
		}
	}
}

// background runs f, which Close waits for. After Close it does nothing: what is
// left undone the next patchbayd finds and does.
func (s *Service) background(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Go(f)
	}
}

// find returns the container of a name, an id or a unique prefix of an id;
// names win.
func (s *Service) find(name string) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.Find(name)
}

// all returns the containers by age, the youngest first.
func (s *Service) all() []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.Sorted()
}
