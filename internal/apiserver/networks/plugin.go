package networks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/apiserver/networks/program"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

const (
	// terminateGrace is how long a plugin may take to end after SIGTERM.
	terminateGrace = 2 * time.Second
	// maxChoices is how often a plugin may choose a subnet that another network
	// got at the same moment.
	maxChoices = 8
)

// launch adopts the network's live plugin process or starts one.
func (n *network) launch() (*helper.Process, error) {
	directory := n.service.config.Roots.Network(n.id)
	p, err := helper.Adopt(directory)
	if err == nil {
		n.setProcess(p)
		n.speak()
		return p, nil
	}
	if !errors.Is(err, errdefs.ErrNotFound) {
		n.log.Warn("left-over of an earlier plugin process is ignored", "error", err)
	}
	plugin, err := n.program(directory)
	if err != nil {
		return nil, err
	}
	p, err = program.Start(n.service.config.Roots, n.id, plugin)
	if err != nil {
		return nil, err
	}
	n.client.Close() // what is left of connections leads to its forerunner
	n.setProcess(p)
	n.speak()
	return p, nil
}

// speak uses the codec that the manifest beside the process's program names.
func (n *network) speak() {
	codec, err := program.Codec(n.service.config.Roots.Network(n.id))
	if err != nil {
		n.log.Warn("codec of the plugin is not known", "error", err)
		return
	}
	n.client.Speak(codec)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.codec = codec
}

// program finds the plugin as it is installed now; that of a left-over is known
// by its last process alone. A network stored while its plugin was missing
// gets its variant here.
func (n *network) program(directory string) (manifest.Plugin, error) {
	info := n.stored().Configuration.Plugin
	if info.Plugin == "" {
		binary, err := helper.Binary(directory)
		return manifest.Plugin{Plugin: resource.Plugin{Name: filepath.Base(binary)}, Binary: binary}, err
	}
	plugin, err := n.service.config.Plugins.Network(info.Plugin)
	if err != nil {
		return manifest.Plugin{}, err
	}
	if info.Variant == "" {
		info.Variant = plugin.DefaultVariant
		n.mu.Lock()
		n.record.Configuration.Plugin = info
		n.unsaved = true
		n.mu.Unlock()
	}
	_, err = program.Strategy(plugin, info.Variant)
	return plugin, err
}

// call calls the plugin with the deadline of a start; it ends early when the
// process dies, with the process's own words.
func (n *network) call(ctx context.Context, p *helper.Process, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.service.config.ReadyTimeout)
	defer cancel()
	if err := p.Ready(ctx, f); err != nil {
		return n.blame(err)
	}
	return nil
}

// blame names the plugin, unless the error already speaks of its network.
func (n *network) blame(err error) error {
	r := n.stored()
	if strings.HasPrefix(err.Error(), "network "+r.Name) {
		return err
	}
	return fmt.Errorf("network %s: plugin %s: %w", r.Name, r.Configuration.Plugin.Plugin, err)
}

// hello waits until the plugin answers and checks that both speak one protocol.
func (n *network) hello(ctx context.Context, p *helper.Process) error {
	return n.call(ctx, p, func(ctx context.Context) error {
		answer, err := n.client.Hello(ctx, &pluginv1.HelloRequest{MinProtocol: manifest.MinProtocol, MaxProtocol: manifest.MaxProtocol})
		if err != nil {
			return err
		}
		if answer.GetMinProtocol() > manifest.MaxProtocol || answer.GetMaxProtocol() < manifest.MinProtocol {
			return fmt.Errorf("speaks protocol %d to %d, want %d to %d: %w", answer.GetMinProtocol(), answer.GetMaxProtocol(),
				manifest.MinProtocol, manifest.MaxProtocol, errdefs.ErrFailedPrecondition)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.version = answer.GetVersion()
		return nil
	})
}

// realize makes the network or adopts what there is of it, pins the subnets
// that the plugin chose, and stores the network if that is news. A choice that another network made at the same moment
// is taken back and made again.
func (n *network) realize(ctx context.Context, p *helper.Process) error {
	var err error
	extent := addressing.Near
	for range maxChoices {
		var status resource.NetworkStatus
		if status, err = n.begin(ctx, p, extent); err != nil {
			return err
		}
		if err := addressing.CheckRoutes(n.stored(), status); err != nil {
			return err
		}
		if err = n.pin(status); err == nil {
			if err := n.save(); err != nil {
				return err
			}
			n.told(status) // only now: who sees it serve can rely on its subnets
			return nil
		}
		var overlap *addressing.OverlapError
		if !errors.As(err, &overlap) || !overlap.Ours {
			return n.blame(err)
		}
		if err := n.halt(ctx, p); err != nil {
			return err
		}
		extent = addressing.All
	}
	return n.blame(fmt.Errorf("chooses subnets that are in use again and again: %w", err))
}

func (n *network) begin(ctx context.Context, p *helper.Process, extent addressing.Extent) (resource.NetworkStatus, error) {
	r := n.stored()
	request := &pluginv1.StartRequest{Configuration: n.service.ledger.Configuration(r, extent), Remembered: n.service.memory.Of(n.id)}
	for _, reservation := range n.service.users.Reservations(n.id) {
		request.Reservations = append(request.Reservations, pluginwire.ReservationToProto(reservation))
	}
	var status resource.NetworkStatus
	err := n.call(ctx, p, func(ctx context.Context) error {
		answer, err := n.client.Start(ctx, request)
		if ctx.Err() != nil {
			n.mu.Lock()
			n.interrupted = p
			n.mu.Unlock()
		}
		if err != nil {
			return err
		}
		status, err = pluginwire.StatusFromProto(answer.GetStatus())
		return garbage(err)
	})
	return status, err
}

// garbage marks an answer that makes no sense as the plugin's fault: what the
// user asked for is not what is invalid.
func garbage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("answered garbage: %s: %w", strings.ReplaceAll(err.Error(), "\n", "; "), errdefs.ErrInternal)
}

// pin checks what the plugin made against what it was asked for and against
// all other networks, and keeps it for later starts.
func (n *network) pin(status resource.NetworkStatus) error {
	r := n.stored()
	want, got := addressing.Wanted(r), resource.PinnedSubnets{IPv4: status.IPv4Subnet, IPv6: status.IPv6Subnet}
	if (want.IPv4.IsValid() && want.IPv4 != got.IPv4) || (want.IPv6.IsValid() && want.IPv6 != got.IPv6) {
		return garbage(fmt.Errorf("made subnets %v and %v, want %v and %v", got.IPv4, got.IPv6, want.IPv4, want.IPv6))
	}
	if c := r.Configuration; c.IPv4Disabled && got.IPv4.IsValid() || c.IPv6Disabled && got.IPv6.IsValid() {
		return fmt.Errorf("cannot leave out an address family, gives %v and %v: %w", got.IPv4, got.IPv6, errdefs.ErrNotImplemented)
	}
	if err := n.service.ledger.Claim(n.id, r.Name, got, want); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved = n.unsaved || n.record.Pinned != got
	n.record.Pinned = got
	return nil
}

// save stores the network, unless it is stored as it is.
func (n *network) save() error {
	n.mu.Lock()
	record, unsaved := n.record, n.unsaved
	n.mu.Unlock()
	if !unsaved {
		return nil
	}
	if err := n.service.config.Records.Put(n.id, record); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved = false
	return nil
}

// halt asks the plugin to take its network off the host.
func (n *network) halt(ctx context.Context, p *helper.Process) error {
	return n.call(ctx, p, func(ctx context.Context) error {
		_, err := n.client.Stop(ctx, &pluginv1.StopRequest{Delete: true, Force: true})
		return err
	})
}

// dismantle takes the network off the host and ends its plugin. Where the
// process is dead or does not answer, a fresh one is given the chance to do it.
// An error means that something may be left. The end of ctx leaves everything as
// it is then, for the next patchbayd.
func (n *network) dismantle(ctx context.Context) error {
	n.mu.Lock()
	process := n.process
	n.mu.Unlock()
	if _, err := os.Stat(n.service.config.Roots.Network(n.id)); process == nil && errors.Is(err, os.ErrNotExist) {
		return nil // no plugin has run for it since the last boot
	}
	err := n.remove(ctx, process)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.discard()
	return err
}

func (n *network) remove(ctx context.Context, process *helper.Process) error {
	n.mu.Lock()
	interrupted := process != nil && n.interrupted == process
	n.mu.Unlock()
	if interrupted {
		process.Kill() // else its start could go on after its stop
	}
	if process != nil && alive(process) {
		err := n.halt(ctx, process)
		if err == nil || ctx.Err() != nil {
			return err
		}
		n.log.Warn("plugin does not stop, a fresh process takes over", "error", err)
		process.Kill()
	}
	process, err := n.launch()
	if err != nil {
		return n.blame(err)
	}
	if err := n.hello(ctx, process); err != nil {
		return err
	}
	return n.halt(ctx, process)
}

// discard ends the plugin process and removes its directory.
func (n *network) discard() {
	n.mu.Lock()
	process := n.process
	n.process = nil
	n.mu.Unlock()
	if process != nil {
		process.Terminate(terminateGrace)
	}
	if err := os.RemoveAll(n.service.config.Roots.Network(n.id)); err != nil {
		n.log.Warn("directory of a plugin is left", "error", err)
	}
}
