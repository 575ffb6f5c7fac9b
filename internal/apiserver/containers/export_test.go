package containers

import "context"

// AwaitLeft waits until nothing is left of the runs that have ended.
func (s *Service) AwaitLeft(ctx context.Context) { s.left.Wait(ctx) }
