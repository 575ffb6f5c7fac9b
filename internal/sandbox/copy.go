package sandbox

import (
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/copying"
)

// Copier returns the engine while it has a root file system to look into. One that is
// no copying.Copier cannot: errdefs.ErrNotImplemented.
func (s *Sandbox) Copier() (copying.Copier, error) {
	if err := s.live("has no files"); err != nil {
		return nil, err
	}
	c, ok := s.config.Engine.(copying.Copier)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: its runtime cannot copy files: %w", s.config.ID, errdefs.ErrNotImplemented)
	}
	return c, nil
}

// live refuses what needs a sandbox that is made and has not ended.
func (s *Sandbox) live(without string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created && s.state != Running {
		return fmt.Errorf("sandbox %s: %s, it is %v: %w", s.config.ID, without, s.state, errdefs.ErrFailedPrecondition)
	}
	return nil
}
