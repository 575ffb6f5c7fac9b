package imagestore

import (
	"context"
	"sync"
)

// locks are locks by name, waiting for which ends with a context. They make
// that what two operations need at once is fetched and unpacked once.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // guarded by mu; closed on release
}

// lock waits until name is free and takes it.
func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		free, taken := l.held[name]
		if !taken {
			free = make(chan struct{})
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			l.held[name] = free
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, name)
				l.mu.Unlock()
				close(free)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
