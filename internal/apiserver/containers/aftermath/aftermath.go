// Package aftermath takes away what a run of a container leaves.
package aftermath

import (
	"context"
	"os"
	"runtime"
	"sync"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/trace"
)

// Aftermath is a run that has ended, while what it leaves is taken away: first what is in the
// way of others who hear of the end, then what others wait for by themselves who come to want it, and, when its helper is
// gone too, the rest. Nobody but who needs the place of the run itself waits for all (Set.Of). It ends with Finish, once.
type Aftermath struct {
	ID       string // of the container
	Helper   runtimehelper.Helper
	Last     *disk.Exit // how it ended
	Removing bool       // the container goes too
	Deleted  bool       // somebody else takes the container away

	set      *Set
	context  context.Context
	clean    func()
	parallel sync.WaitGroup // what is in the way of others
	freed    sync.WaitGroup // what follows that
	after    []func(context.Context)
	span     *trace.Span
	idle     func()
}

// Context is that of all its steps.
func (a *Aftermath) Context() context.Context { return a.context }

// Beside begins a step that takes away what is in the way of others, and needs no helper to be gone.
func (a *Aftermath) Beside(step func(context.Context)) {
	a.parallel.Go(func() { step(a.context) })
}

// After adds a step that comes after that of Then, beside others of its kind. It is called before
// Then.
func (a *Aftermath) After(step func(context.Context)) { a.after = append(a.after, step) }

// Then begins what is to follow when all steps of Beside are done. It is called once; the step
// is the last that callers wait for, and that is traced.
func (a *Aftermath) Then(step func()) {
	a.freed.Go(func() {
		a.parallel.Wait()
		step()
		a.span.End(nil)
		runtime.Gosched() // who waits goes first
		for _, step := range a.after {
			a.freed.Go(func() { step(a.context) })
		}
	})
}

// Keep keeps how the run ended with the container, if that stays.
func (a *Aftermath) Keep() {
	if a.Removing || a.Deleted {
		return
	}
	if err := disk.WriteExit(a.set.programs.Roots.Container(a.ID), *a.Last); err != nil {
		a.set.programs.Log.Error("cannot keep how a container ended", "container", a.ID, "error", err)
	}
}

// CleanUp removes what a helper that is gone left on the host. It may be called again.
func (a *Aftermath) CleanUp() { a.clean() }

// Files takes away the files of a run whose helper is gone, when nobody can want anything
// else of it any more, in an order in which the next patchbayd can go on wherever this
// one dies. Those of a container that goes too are taken away with it; one that is still
// recorded then keeps the mark by which its removal is tried again.
func (a *Aftermath) Files(unrecorded func() bool) {
	roots, log := a.set.programs.Roots, a.set.programs.Log
	a.CleanUp()
	a.freed.Wait()
	if err := os.RemoveAll(roots.Sandbox(a.ID)); err != nil {
		log.Error("cannot remove the directory of a runtime helper", "container", a.ID, "error", err)
	}
	var err error
	switch {
	case !a.Removing:
	case unrecorded():
		err = disk.Remove(roots, a.ID)
	default:
		err = disk.Empty(roots.Container(a.ID))
	}
	if err != nil {
		log.Error("cannot remove the files of a container that has ended", "container", a.ID, "error", err)
	}
}

// Finish waits for the steps and ends it, whether there are files left or not.
func (a *Aftermath) Finish() {
	a.parallel.Wait()
	a.freed.Wait()
	a.idle()
	a.set.remove(a)
}

// Set is all that are not finished. It is safe for concurrent use.
type Set struct {
	programs *runtimehelper.Programs

	mu   sync.Mutex
	byID map[string]chan struct{} // guarded by mu; closed when it is finished
}

// NewSet returns a set with none.
func NewSet(programs *runtimehelper.Programs) *Set {
	return &Set{programs: programs, byID: map[string]chan struct{}{}}
}

// Begin begins with a run that ctx is of, the only one of its container. Until it is
// finished no helpers are started for containers to come.
func (s *Set) Begin(ctx context.Context, id string, h runtimehelper.Helper) *Aftermath {
	idle := s.programs.Busy()
	ctx, span := trace.Start(ctx, "take away what is left of the run")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = make(chan struct{})
	return &Aftermath{
		ID: id, Helper: h, set: s, context: ctx, span: span, idle: idle,
		clean: sync.OnceFunc(func() { s.programs.CleanUp(id, h) }),
	}
}

// Of is closed when that of a container is finished; nil: it is, or there was none.
func (s *Set) Of(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// Wait waits until those that there are now are finished, or until ctx ends.
func (s *Set) Wait(ctx context.Context) {
	s.mu.Lock()
	all := make([]<-chan struct{}, 0, len(s.byID))
	for _, finished := range s.byID {
		all = append(all, finished)
	}
	s.mu.Unlock()
	for _, finished := range all {
		select {
		case <-finished:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Set) remove(a *Aftermath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.byID[a.ID])
	delete(s.byID, a.ID)
}
