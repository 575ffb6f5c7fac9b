package networks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/apiserver/networks/knowledge"
	"patchbay.dev/patchbay/internal/apiserver/networks/shown"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/resource"
)

// network is one network and its plugin process.
type network struct {
	service *Service
	id      string
	name    string
	created time.Time
	plugin  *instance.Instance // its process
	log     *slog.Logger
	shown   shown.Shown // to who asked last

	mu       sync.Mutex
	record   resource.StoredNetwork // guarded by mu
	hidden   bool                   // it is being created, and perhaps never will be; guarded by mu
	unsaved  bool                   // record is not stored as it is; guarded by mu
	status   resource.NetworkStatus // as last told; guarded by mu
	known    knowledge.Knowledge    // how far status is still true; guarded by mu
	changed  chan struct{}          // closed and replaced when status changes; guarded by mu
	uses     int                    // containers being made on it; guarded by mu
	leaving  departures             // leases that are being given up
	cancel   context.CancelFunc     // ends supervision; nil: there is none; guarded by mu
	ended    chan struct{}          // closed when supervision has ended; guarded by mu
	restarts []chan error           // told how the next process came up; guarded by mu
	// wake tells the supervisor of new restarts.
	wake chan struct{}
	// launches counts the processes of this supervision, those that failed too.
	launches atomic.Uint64
}

func newNetwork(s *Service, r resource.StoredNetwork) *network {
	n := &network{
		service: s,
		id:      r.ID,
		name:    r.Name,
		created: r.CreatedAt,
		log:     s.config.Log.With("network", r.Name, "plugin", r.Configuration.Plugin.String()),
		record:  r,
		status:  resource.NetworkStatus{State: resource.NetworkStarting, IPv4Subnet: r.Pinned.IPv4, IPv6Subnet: r.Pinned.IPv6},
		changed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
	n.plugin = instance.New(instance.Config{
		Roots: s.config.Roots, ID: n.id, Name: n.name, Plugin: r.Configuration.Plugin.Plugin,
		Program: n.program, Timeout: s.config.ReadyTimeout, Log: n.log,
	})
	return n
}

func (n *network) stored() resource.StoredNetwork {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.record
}

func (n *network) deleting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.record.Deleting
}

// snapshot returns the network as its plugin last told.
func (n *network) snapshot() resource.Network {
	n.mu.Lock()
	defer n.mu.Unlock()
	status := n.status
	status.BuiltIn = n.record.BuiltIn
	status.PluginPID = n.plugin.PID()
	return resource.Network{Metadata: n.record.Metadata, Configuration: n.record.Configuration, Status: status}
}

// told takes in what the plugin says of its network.
func (n *network) told(s resource.NetworkStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.enter(recognized(s))
}

// recognized makes a state that is not one of ours degraded.
func recognized(s resource.NetworkStatus) resource.NetworkStatus {
	if s.State == "" {
		s.State, s.Message = resource.NetworkDegraded, "its plugin tells a state that is not known"
	}
	return s
}

// note changes what is known of the status.
func (n *network) note(change func(*knowledge.Knowledge)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.known)
}

// epoch is that of what is asked now, as in knowledge.
func (n *network) epoch() (epoch int) {
	n.note(func(k *knowledge.Knowledge) { epoch = k.Epoch() })
	return epoch
}

// turn sets the state and keeps what else is known.
func (n *network) turn(state resource.NetworkState, message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.status
	s.State, s.Message = state, message
	n.enter(s)
}

// announce wakes those who wait for a change; mu is held.
func (n *network) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// use keeps the network from being deleted.
func (n *network) use() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.record.Deleting {
		return fmt.Errorf("network %s: is being deleted: %w", n.record.Name, errdefs.ErrNotFound)
	}
	n.uses++
	return nil
}

func (n *network) unuse() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.uses--
}

// serving waits while the network is starting and returns nil when it serves,
// else errdefs.ErrUnavailable with the reason.
func (n *network) serving(ctx context.Context) error {
	for {
		n.mu.Lock()
		state, message, changed := n.status.State, n.status.Message, n.changed
		name := n.record.Name
		n.mu.Unlock()
		switch state {
		case resource.NetworkReady, resource.NetworkDegraded:
			return nil
		case resource.NetworkFailed:
			return fmt.Errorf("network %s: does not serve: %s: %w", name, message, errdefs.ErrUnavailable)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("network %s: is still starting: %w", name, errdefs.ErrUnavailable)
		}
	}
}

// instance describes the plugin process.
func (n *network) instance() resource.PluginInstance {
	now := n.snapshot()
	return resource.PluginInstance{Resource: now.Name, PID: now.Status.PluginPID, State: string(now.Status.State), Version: n.plugin.Version()}
}

// dyingDelay is how long a process that comes to its end may take from closing its
// connections until the kernel ends it.
const dyingDelay = time.Second

// restarting reports whether the process that broke off a call is dying, and
// then returns when its supervisor has taken note, so that serving waits for
// the next one.
func (n *network) restarting(ctx context.Context, process *helper.Process) bool {
	late := time.NewTimer(dyingDelay)
	defer late.Stop()
	for {
		n.mu.Lock()
		noted := n.plugin.Process() != process || n.status.State == resource.NetworkStarting || n.status.State == resource.NetworkFailed
		changed := n.changed
		n.mu.Unlock()
		if noted {
			return true
		}
		select {
		case <-changed:
		case <-late.C:
			if !process.Ending() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}
