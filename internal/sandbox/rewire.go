package sandbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// Rewirer is an Engine that can change the network of a sandbox that lives.
type Rewirer interface {
	// Rewire turns the interfaces of one plan into those of another, told apart
	// by their names: makes what is new, changes the routing of what stays, and
	// removes what goes. All or nothing. A HostDevice that goes stays where it
	// is, for its network takes it back.
	Rewire(ctx context.Context, from, to []wiring.Interface) error
}

// Connect holds the lease of one more attachment and makes its interface. All or
// nothing. It returns all attachments as they are then. An engine that is no
// Rewirer cannot: errdefs.ErrNotImplemented.
func (s *Sandbox) Connect(ctx context.Context, a resource.AllocatedAttachment) (attachments []resource.Attachment, err error) {
	engine, done, err := s.enterChange(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	from := s.made()
	to, err := s.draw(from, append(slices.Clone(from.allocated), a))
	if err != nil {
		return nil, err
	}
	var undo revert.Stack
	defer undo.Run(&err)
	if err := s.leases.Hold(ctx, []resource.AllocatedAttachment{a}, from.namespace); err != nil {
		return nil, err
	}
	undo.Add(func() error { s.leases.LetGo(a.Lease.Key); return nil })
	if err := s.rewire(ctx, engine, from, to); err != nil {
		return nil, err
	}
	undo.Success()
	return to.Attachments, nil
}

// Disconnect removes an interface with its routes, and then gives its lease up. It
// returns the attachments that are left. Once begun it goes on without its
// caller. One that is not there is errdefs.ErrNotFound.
func (s *Sandbox) Disconnect(ctx context.Context, interfaceName string) ([]resource.Attachment, error) {
	engine, done, err := s.enterChange(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	from := s.made()
	place := slices.IndexFunc(from.Attachments, func(a resource.Attachment) bool { return a.InterfaceName == interfaceName })
	if place < 0 {
		return nil, fmt.Errorf("sandbox %s: interface %q: not found: %w", s.id(), interfaceName, errdefs.ErrNotFound)
	}
	to, err := s.draw(from, slices.Delete(slices.Clone(from.allocated), place, place+1))
	if err != nil {
		return nil, err
	}
	if err := s.rewire(context.WithoutCancel(ctx), engine, from, to); err != nil {
		return nil, err
	}
	s.leases.LetGo(from.allocated[place].Lease.Key)
	return to.Attachments, nil
}

// rewire makes one design of another. All or nothing.
func (s *Sandbox) rewire(ctx context.Context, engine Rewirer, from, to design) (err error) {
	ctx, span := trace.Start(ctx, "change the interfaces")
	defer span.EndBy(&err)
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { return s.engine().Rewrite(from.Configuration) })
	if err := s.engine().Rewrite(to.Configuration); err != nil {
		return err
	}
	undo.Add(func() error { return s.names.Set(context.WithoutCancel(ctx), s.inside(), from.wish()) })
	if err := s.names.Set(ctx, s.inside(), to.wish()); err != nil {
		return err
	}
	if err := engine.Rewire(ctx, from.plans, to.plans); err != nil {
		return err
	}
	undo.Success()
	s.movePorts(ctx, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.design = to
	s.bumpLocked()
	return nil
}

// made is the design as it is now.
func (s *Sandbox) made() design {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.design
}

// enterChange makes a change of the interfaces the only one, and has the end of
// the sandbox wait for it until done is called.
func (s *Sandbox) enterChange(ctx context.Context) (engine Rewirer, done func(), err error) {
	select {
	case s.changing <- struct{}{}:
	case <-s.life.Done():
		return nil, nil, s.notLive(Stopped)
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done = func() { <-s.changing }
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state != Created && state != Running {
		done()
		return nil, nil, s.notLive(state)
	}
	engine, ok := s.engine().(Rewirer) // it has one now
	if !ok {
		done()
		return nil, nil, fmt.Errorf("sandbox %s: its runtime cannot change the interfaces of one that lives: %w", s.id(), errdefs.ErrNotImplemented)
	}
	return engine, done, nil
}

func (s *Sandbox) notLive(state State) error {
	return fmt.Errorf("sandbox %s: its interfaces cannot be changed, it is %v: %w", s.id(), state, errdefs.ErrFailedPrecondition)
}

// endChanges cuts a change of the interfaces short, waits for it, and lets no other
// one begin.
func (s *Sandbox) endChanges(ctx context.Context) {
	s.end()
	select {
	case s.changing <- struct{}{}:
	case <-ctx.Done():
		s.config.Log.Error("a change of interfaces does not end")
	}
}
