package networks

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// answerTimeout is how long a list waits for a plugin: a person waits for it.
const answerTimeout = 500 * time.Millisecond

// List returns all networks, the oldest first, as their plugins say now. All
// are asked at once; one that does not answer at once is shown as degraded.
func (s *Service) List(ctx context.Context) []resource.Network {
	networks := slices.DeleteFunc(s.all(), func(n *network) bool { return n.stored().Deleting })
	out := make([]resource.Network, len(networks))
	var wg sync.WaitGroup
	for i, n := range networks {
		wg.Go(func() { out[i], _ = n.ask(ctx) })
	}
	wg.Wait()
	return out
}

// Observation is what can be said of a network at one moment.
type Observation struct {
	resource.Network
	// Answered says that the plugin told the status at that moment; else it is
	// what was last known of it, with the state that follows from the silence.
	Answered bool
	// Restarts counts how often a process of the plugin had to be started after
	// the first one, for whatever reason, since this service began.
	Restarts uint64
}

// Observe returns what there is to say of all networks, the oldest first, within
// the time that List takes too.
func (s *Service) Observe(ctx context.Context) []Observation {
	networks := slices.DeleteFunc(s.all(), func(n *network) bool { return n.stored().Deleting })
	out := make([]Observation, len(networks))
	var wg sync.WaitGroup
	for i, n := range networks {
		wg.Go(func() {
			now, answered := n.ask(ctx)
			out[i] = Observation{Network: now, Answered: answered, Restarts: max(n.launches.Load(), 1) - 1}
		})
	}
	wg.Wait()
	return out
}

// Get returns one network as its plugin says now, with its live attachments.
func (s *Service) Get(ctx context.Context, name string) (resource.Network, error) {
	n, err := s.find(name)
	if err != nil {
		return resource.Network{}, err
	}
	out, _ := n.ask(ctx)
	if out.Status.Serves() {
		out.Status.Attachments = n.attachments(ctx)
	}
	return out, nil
}

// ask returns the network with what the plugin says now, and whether it said
// anything.
func (n *network) ask(ctx context.Context) (out resource.Network, answered bool) {
	out = n.snapshot()
	if !out.Status.Serves() {
		return out, false
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := n.client.Status(ctx, &pluginv1.StatusRequest{})
	var status resource.NetworkStatus
	if err == nil {
		status, err = pluginwire.StatusFromProto(answer.GetStatus())
		err = garbage(err)
	}
	if err != nil {
		out.Status.State, out.Status.Message = resource.NetworkDegraded, "its plugin does not answer"
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			out.Status.Message = "its plugin: " + oneLine(err)
		}
		return out, false
	}
	status.PluginPID, status.BuiltIn = out.Status.PluginPID, out.Status.BuiltIn
	if status.State == "" {
		status.State = resource.NetworkDegraded
	}
	out.Status = status
	return out, true
}

// attachments returns the live attachments by container; none when the plugin
// does not answer.
func (n *network) attachments(ctx context.Context) []resource.NetworkAttachment {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := n.client.List(ctx, &pluginv1.ListRequest{})
	if err != nil {
		n.log.Warn("attachments are not known", "error", err)
		return nil
	}
	name := n.name()
	var out []resource.NetworkAttachment
	for _, lease := range answer.GetLeases() {
		a, err := wire.AttachmentFromProto(lease.GetAttachment())
		if err != nil {
			n.log.Warn("attachment is not shown", "error", garbage(err))
			continue
		}
		a.NetworkID, a.Network = n.id, name
		id, _, _ := strings.Cut(lease.GetKey(), "/")
		out = append(out, resource.NetworkAttachment{
			Container:   lease.GetOwner(),
			ContainerID: id,
			LeaseState:  pluginwire.LeaseStateFromProto(lease.GetState()),
			Attachment:  a,
		})
	}
	slices.SortFunc(out, func(a, b resource.NetworkAttachment) int { return cmp.Compare(a.Container, b.Container) })
	return out
}

// Instances returns the running plugin processes by plugin.
func (s *Service) Instances() map[string][]resource.PluginInstance {
	out := map[string][]resource.PluginInstance{}
	for _, n := range s.all() {
		r := n.snapshot()
		if r.Status.PluginPID == 0 {
			continue
		}
		plugin := r.Configuration.Plugin.Plugin
		out[plugin] = append(out[plugin], n.instance())
	}
	return out
}
