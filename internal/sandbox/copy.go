package sandbox

import (
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/copying"
)

// copier returns the engine while it has a root file system to look into.
func (s *Sandbox) copier() (copying.Copier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created && s.state != Running {
		return nil, fmt.Errorf("sandbox %s: is %v: want created or running: %w", s.config.ID, s.state, errdefs.ErrFailedPrecondition)
	}
	c, ok := s.config.Engine.(copying.Copier)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: its runtime cannot copy files: %w", s.config.ID, errdefs.ErrNotImplemented)
	}
	return c, nil
}
