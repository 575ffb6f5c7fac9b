package sandbox

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Files returns the engine, for copying.Service, while it has a root file system.
func (s *Sandbox) Files() (any, error) { return s.engine(), s.live("has no files") }

// live refuses what needs a sandbox that is made and has not ended.
func (s *Sandbox) live(without string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created && s.state != Running {
		return fmt.Errorf("sandbox %s: %s, it is %v: %w", s.id(), without, s.state, errdefs.ErrFailedPrecondition)
	}
	return nil
}
