// Package aftermath takes away what a run of a container leaves.
package aftermath

import (
	"context"
	"os"
	"sync"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/trace"
)

// Aftermath is a run that has ended, while what it leaves is taken away. It ends with
// Finish, once.
type Aftermath struct {
	ID       string // of the container
	Helper   runtimehelper.Helper
	Last     *disk.Exit // how it ended
	Removing bool       // the container goes too
	Deleted  bool       // somebody else takes the container away

	programs *runtimehelper.Programs
	context  context.Context
	parallel sync.WaitGroup
	finish   func()
}

// Begin begins with one of a run that ctx is of. Until it is finished no helpers are
// started for containers to come.
func Begin(ctx context.Context, id string, h runtimehelper.Helper, programs *runtimehelper.Programs) *Aftermath {
	idle := programs.Busy()
	ctx, span := trace.Start(ctx, "take away what is left of the run")
	return &Aftermath{
		ID: id, Helper: h, programs: programs, context: ctx,
		finish: func() { span.End(nil); idle() },
	}
}

// Context is that of all its steps.
func (a *Aftermath) Context() context.Context { return a.context }

// Beside begins a step that needs no helper to be gone.
func (a *Aftermath) Beside(step func(context.Context)) {
	a.parallel.Go(func() { step(a.context) })
}

// Files takes away the files of a run whose helper is gone, in an order in which the next
// patchbayd can go on wherever this one dies, and returns when the steps beside it
// have. Of a container that has ended unseen none are left.
func (a *Aftermath) Files(unseen func() bool) {
	container := a.programs.Roots.Container(a.ID)
	a.programs.CleanUp(a.ID, a.Helper)
	if !a.Removing && !a.Deleted {
		a.parallel.Wait()
		if err := disk.WriteExit(container, *a.Last); err != nil {
			a.programs.Log.Error("cannot keep how a container ended", "container", a.ID, "error", err)
		}
	}
	if err := os.RemoveAll(a.programs.Roots.Sandbox(a.ID)); err != nil {
		a.programs.Log.Error("cannot remove the directory of a runtime helper", "container", a.ID, "error", err)
	}
	if a.Removing && unseen() {
		if err := disk.Empty(container); err != nil {
			a.programs.Log.Warn("cannot empty the directory of a container", "container", a.ID, "error", err)
		}
	}
	a.parallel.Wait()
}

// Finish waits for the steps and ends it, whether there are files left or not.
func (a *Aftermath) Finish() {
	a.parallel.Wait()
	a.finish()
}
