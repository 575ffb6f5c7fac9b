package containers

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/client/sandboxclient"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Resume takes over from an earlier patchbayd: containers that run are watched
// again, what ended meanwhile is taken away, deletions and starts that were
// interrupted are finished or undone, and what belongs to no container is
// removed. It returns at once and goes on in the background. It is called once,
// before anything else, when the network service can be called.
func (s *Service) Resume() error {
	left, err := disk.Look(s.config.Roots)
	if err != nil {
		return err
	}
	for _, name := range left.Standby {
		s.background(func() { s.programs.DismissStandby(name) })
	}
	for _, id := range left.Sandboxes {
		s.resume(id)
	}
	for _, id := range append(left.Containers, left.Newcomers...) {
		if s.index.ByID(id) == nil {
			s.background(func() { disk.RemoveStray(s.config.Roots, id, s.config.Log) })
		}
	}
	for _, e := range s.all() {
		if !s.isRunning(e) && (e.deleting || s.unwanted(e)) {
			s.background(func() { s.finishRemoval(e) })
		}
	}
	return nil
}

// resume takes one sandbox's directory over. Whether its helper lives is known
// when it returns.
func (s *Service) resume(id string) {
	r := &run{abort: func() {}, ended: make(chan struct{}), state: resource.ContainerRunning}
	r.outcome = disk.Outcome(s.config.Roots.Sandbox(id), s.config.Roots.Container(id)) // which callers know already
	process, err := helper.Adopt(s.config.Roots.Sandbox(id))
	if err == nil {
		r.Process = process
		r.Client, r.Ready = sandboxclient.Dial(s.config.Roots.SandboxSocket(id)), true
	} else {
		r.state = resource.ContainerStopping
		if r.outcome == nil { // kept when the rest of the run began to be taken away
			r.outcome = disk.ReadExit(s.config.Roots.Container(id))
		}
	}
	e := s.index.ByID(id)
	if e == nil {
		s.background(func() { s.programs.Dismiss(s.life, id, r.Helper) })
		return
	}
	s.mu.Lock()
	e.run, e.change = r, make(chan struct{})
	s.mu.Unlock()
	s.background(func() {
		if r.Process != nil && !s.wasStarted(e, r) {
			s.programs.Dismiss(s.life, id, r.Helper)
			s.release(s.life, e, false)
			disk.UnmarkStarted(s.config.Roots.Container(e.ID()))
			s.endRun(e, r, nil)
			s.endChange(e)
		} else {
			s.endChange(e)
			if r.Process != nil {
				_ = disk.UnmarkNewcomer(s.config.Roots, id) // it is there, as its caller may find
			}
			s.watch(e, r)
		}
		if s.removalIsDue(e) {
			s.finishRemoval(e)
		}
	})
}

// wasStarted reports whether a helper got as far as running its container's
// main process: a start that did not was never acknowledged. One that does not
// answer is taken to have. The networks of one that did are made to agree with
// what is stored.
func (s *Service) wasStarted(e *entry, r *run) bool {
	ctx, cancel := context.WithTimeout(s.life, s.config.GraceTimeout)
	defer cancel()
	answer, err := r.Client.State(ctx, &sandboxv1.StateRequest{})
	if err != nil {
		return true
	}
	r.told.Began(int(answer.GetPid()))
	s.hearStart(r, answer)
	switch answer.GetState() {
	case sandboxv1.SandboxState_SANDBOX_STATE_EMPTY, sandboxv1.SandboxState_SANDBOX_STATE_CREATED:
		return false
	case sandboxv1.SandboxState_SANDBOX_STATE_RUNNING:
		s.reconcile(e, r, answer.GetAttachments())
	}
	return true
}

// reconcile finishes or takes back a change of networks that the end of another
// patchbayd has interrupted.
func (s *Service) reconcile(e *entry, r *run, told []*typesv1.Attachment) {
	attachments, err := wire.AttachmentsFromProto(told)
	if err == nil {
		s.mu.Lock()
		r.attachments = attachments
		s.mu.Unlock()
		err = s.change(e, r).Reconcile(s.life, attachments)
	}
	if err != nil {
		s.config.Log.Error("cannot tell which networks a container is on", "container", e.ID(), "error", err)
	}
}

// unwanted reports whether a container that does not run is to be removed: it has run and is to be
// removed when it ends, or nobody has heard of it.
func (s *Service) unwanted(e *entry) bool {
	return e.Config().AutoRemove && disk.IsMarkedStarted(s.config.Roots.Container(e.ID())) || disk.IsNewcomer(s.config.Roots, e.ID())
}

func (s *Service) removalIsDue(e *entry) bool {
	unheard := disk.IsNewcomer(s.config.Roots, e.ID())
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.run == nil && (e.deleting || unheard) && s.index.Has(e)
}

func (s *Service) finishRemoval(e *entry) {
	if err := s.remove(s.life, e); err != nil {
		s.config.Log.Error("cannot finish the deletion of a container", "container", e.ID(), "error", err)
	}
}
