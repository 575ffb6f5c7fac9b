package networks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/apiserver/networks/knowledge"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// defaultStatusTimeout is how long a list waits for a plugin: a person waits for it.
const defaultStatusTimeout = 500 * time.Millisecond

// silenceShare is the part of that for one that has not answered before.
const silenceShare = 10

// askedByList is how many plugins of which everything is known are asked at most for a
// list whether they still answer.
const askedByList = 16

// List returns all networks, the oldest first. Plugins tell what changes by themselves.
// Asked are those of which something is not known, and of the others a few, in
// turn; one that does not answer is shown as degraded. Where there are more than a few of
// the others, a later list shows it.
func (s *Service) List(ctx context.Context) []*snapshot.Of[resource.Network] {
	all := s.Observe(ctx)
	out := make([]*snapshot.Of[resource.Network], len(all))
	for i, o := range all {
		out[i] = o.Network
	}
	return out
}

// Observation is what can be said of a network at one moment.
type Observation struct {
	Network *snapshot.Of[resource.Network]
	// Answered says that the status is what the plugin told; else it is
	// what was last known of it, with the state that follows from the silence.
	Answered bool
	// Restarts counts how often a process of the plugin had to be started after
	// the first one, for whatever reason, since this service began.
	Restarts uint64
}

// Observe returns what there is to say of all networks, the oldest first, as List does.
func (s *Service) Observe(ctx context.Context) []Observation {
	networks := slices.DeleteFunc(s.all(), (*network).deleting)
	out := make([]Observation, len(networks))
	plugins := make([]inturn.Candidate, len(networks))
	for i, n := range networks {
		out[i], plugins[i] = n.observe()
	}
	s.rounds.Ask(plugins, func(i int) {
		patience := s.config.StatusTimeout
		if !out[i].Answered {
			patience /= silenceShare
		}
		now, answered := networks[i].ask(ctx, patience)
		out[i].Network, out[i].Answered = networks[i].shown.Describe(&now), answered
	}, func(i int) { networks[i].ask(s.life, s.config.StatusTimeout) })
	return out
}

// observe says what is known without asking, and whether the plugin is worth asking.
func (n *network) observe() (out Observation, plugin inturn.Candidate) {
	now := n.snapshot()
	plugin.Skip = true
	if now.Status.Serves() {
		var silence string
		n.note(func(k *knowledge.Knowledge) { silence, plugin = k.Silence(), k.Candidate() })
		if out.Answered = silence == ""; !out.Answered {
			now.Status.State, now.Status.Message = resource.NetworkDegraded, silence
		}
	}
	out.Network, out.Restarts = n.shown.Describe(&now), max(n.launches.Load(), 1)-1
	return out, plugin
}

// Get returns one network as its plugin says now, without its live attachments, and those, one after the other as the plugin tells
// them. Each is valid until the next.
func (s *Service) Get(ctx context.Context, name string) (resource.Network, iter.Seq2[resource.NetworkAttachment, error], error) {
	n, err := s.find(name)
	if err != nil {
		return resource.Network{}, nil, err
	}
	n.await(ctx, n.leaving.now(), s.config.StatusTimeout)
	out, _ := n.ask(ctx, s.config.StatusTimeout)
	if !out.Status.Serves() {
		return out, func(func(resource.NetworkAttachment, error) bool) {}, nil
	}
	return out, n.attachments(ctx), nil
}

// ask returns the network with what the plugin says now, and whether it said
// anything in time.
func (n *network) ask(ctx context.Context, patience time.Duration) (out resource.Network, answered bool) {
	out = n.snapshot()
	if !out.Status.Serves() {
		return out, false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	epoch := n.epoch()
	answer, err := n.plugin.Client.Status(ctx, &pluginv1.StatusRequest{})
	var status resource.NetworkStatus
	if err == nil {
		status, err = pluginwire.StatusFromProto(answer.GetStatus())
		err = instance.Garbage(err)
	}
	if err != nil {
		out.Status.State, out.Status.Message = resource.NetworkDegraded, resource.PluginSilent
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			out.Status.Message = "its plugin: " + instance.OneLine(err)
		}
		n.note(func(k *knowledge.Knowledge) { k.Miss(out.Status.Message) })
		return out, false
	}
	n.note(func(k *knowledge.Knowledge) { n.status = k.Learn(n.status, status, answer.GetRevision(), epoch) })
	status.PluginPID, status.BuiltIn = out.Status.PluginPID, out.Status.BuiltIn
	if status.State == "" {
		status.State = resource.NetworkDegraded
	}
	out.Status = status
	return out, true
}

// attachments returns the live attachments; none when the plugin does not answer. Those that make no sense are left out.
func (n *network) attachments(ctx context.Context) iter.Seq2[resource.NetworkAttachment, error] {
	return func(yield func(resource.NetworkAttachment, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, n.service.config.StatusTimeout)
		defer cancel()
		answer, err := n.plugin.Client.List(rpc.InPieces(ctx), &pluginv1.ListRequest{})
		if err != nil {
			n.log.Warn("attachments are not known", "error", err)
			return
		}
		for a, err := range pluginwire.AttachmentsFromProto(answer, n.id, n.name) {
			if errors.Is(err, pluginwire.ErrLease) {
				n.log.Warn("attachment is not shown", "error", instance.Garbage(err))
				continue
			}
			if err != nil {
				err = fmt.Errorf("network %s: its plugin does not tell all attachments: %w", n.name, err)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// Instances returns the running plugin processes by plugin.
func (s *Service) Instances() map[string][]resource.PluginInstance {
	out := map[string][]resource.PluginInstance{}
	for _, n := range s.all() {
		if now := n.instance(); now.PID != 0 {
			plugin := n.stored().Configuration.Plugin.Plugin
			out[plugin] = append(out[plugin], now)
		}
	}
	return out
}
