package networks

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Restart replaces the plugin process of a network by one of the program that
// is installed now. The former one is asked to end, which leaves the network as
// it is; sandboxes hold their leases again at the new one. It returns when the
// network serves; a process that does not come up is errdefs.ErrUnavailable with
// its own words, and is tried again by supervision while the network shows as
// failed. A plugin that is not fit for use is refused, and nothing is touched.
func (s *Service) Restart(ctx context.Context, name string) (resource.PluginInstance, error) {
	n, err := s.find(name)
	if err != nil {
		return resource.PluginInstance{}, err
	}
	// What cannot be started again is better left as it is.
	if _, err := n.program(); err != nil {
		return resource.PluginInstance{}, n.plugin.Blame(err)
	}
	if err := n.restart(ctx); err != nil {
		return resource.PluginInstance{}, err
	}
	return n.instance(), nil
}

// RestartPlugin does what Restart does for all networks of a plugin, at once. One
// that fails does not stop the rest.
func (s *Service) RestartPlugin(ctx context.Context, plugin string) ([]resource.PluginInstance, error) {
	var served []*network
	for _, n := range s.all() {
		if r := n.stored(); r.Configuration.Plugin.Plugin == plugin && !r.Deleting {
			served = append(served, n)
		}
	}
	instances, faults := make([]resource.PluginInstance, len(served)), make([]error, len(served))
	var wg sync.WaitGroup
	for i, n := range served {
		wg.Go(func() { instances[i], faults[i] = s.Restart(ctx, n.id) })
	}
	wg.Wait()
	var out []resource.PluginInstance
	for i, fault := range faults {
		if fault == nil {
			out = append(out, instances[i])
		}
	}
	return out, errors.Join(faults...)
}

// restart asks the supervisor for a new process and waits for what comes of it.
func (n *network) restart(ctx context.Context) error {
	result := make(chan error, 1)
	n.mu.Lock()
	name, ended := n.record.Name, n.ended
	n.restarts = append(n.restarts, result)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it is being woken already
	}
	select {
	case err := <-result:
		if err != nil {
			return n.plugin.Blame(err)
		}
		return nil
	case <-ended:
		return fmt.Errorf("network %s: its plugin is not supervised any more: %w", name, errdefs.ErrUnavailable)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeRestarts returns those who wait for a process that is not begun yet.
func (n *network) takeRestarts() []chan error {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.restarts
	n.restarts = nil
	return out
}

// restartWanted reports whether somebody waits for another process.
func (n *network) restartWanted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.restarts) > 0
}
