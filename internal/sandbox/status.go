package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Status is what is true of a sandbox.
type Status struct {
	State       State
	PID         int
	StartedAt   time.Time
	Exit        ExitStatus // when Stopped
	Attachments []resource.Attachment
	Faults      []string
	Machine     *resource.MachineStatus // nil: it is none
}

// Status says what is true now.
func (s *Sandbox) Status() Status {
	out, _ := s.status()
	return out
}

// Watch reports the status now and whenever it may have changed, until it is Stopped.
// It ends early with the error of report or of ctx, or with errdefs.ErrUnavailable
// when the helper ends without a sandbox that was.
func (s *Sandbox) Watch(ctx context.Context, report func(Status) error) error {
	for {
		now, changed := s.status()
		if err := report(now); err != nil || now.State == Stopped {
			return err
		}
		select {
		case <-changed:
		case <-s.done:
			if now, _ := s.status(); now.State == Stopped {
				return report(now)
			}
			return fmt.Errorf("sandbox %s: has ended: %w", s.id(), errdefs.ErrUnavailable)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// status also says when to look again.
func (s *Sandbox) status() (Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{State: s.state, StartedAt: s.startedAt, Exit: s.exit, Attachments: s.design.Attachments, Faults: s.leases.Faults()}
	if s.main != nil && s.state != Stopped {
		out.PID = s.main.PID()
		if m, ok := s.engine().(Machined); ok {
			machine := m.Machine()
			out.Machine = &machine
		}
	}
	return out, s.changed
}

// bump tells those who watch to look again.
func (s *Sandbox) bump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bumpLocked()
}

func (s *Sandbox) bumpLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}
