package networks

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/instance"
	"patchbay.dev/patchbay/internal/apiserver/networks/knowledge"
	"patchbay.dev/patchbay/internal/backoff"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// watchDelay is how long to wait before a lost stream of states is opened again,
// while the process lives.
const watchDelay = time.Second

// superviseFrom begins supervision with a serving process, or with none.
func (n *network) superviseFrom(process *helper.Process) {
	ctx, cancel := context.WithCancel(n.service.life)
	ended := make(chan struct{})
	n.mu.Lock()
	n.cancel, n.ended = cancel, ended
	if process != nil {
		n.launches.Add(1)
	}
	n.mu.Unlock()
	n.service.running.Go(func() {
		defer close(ended)
		defer cancel()
		n.supervise(ctx, process)
	})
}

// unsupervise ends supervision and waits for that; the process goes on.
func (n *network) unsupervise() {
	n.mu.Lock()
	cancel, ended := n.cancel, n.ended
	n.mu.Unlock()
	if cancel != nil {
		cancel()
		<-ended
	}
}

// supervise keeps the plugin serving until ctx ends.
func (n *network) supervise(ctx context.Context, process *helper.Process) {
	wait := backoff.First
	for {
		if process == nil {
			restarts := n.takeRestarts()
			p, err := n.bringUp(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				n.log.Warn("network does not serve", "error", err, "again in", wait)
				n.turn(resource.NetworkFailed, instance.OneLine(err))
				answer(restarts, err)
				wait = n.backOff(ctx, wait)
				continue
			}
			if len(restarts) > 0 {
				n.publishPlugin(event.ActionRestart, "")
			}
			answer(restarts, nil)
			process = p
			n.log.Info("network serves", "pid", process.PID())
		}
		since := time.Now()
		n.follow(ctx, process)
		if ctx.Err() != nil {
			return
		}
		if n.restartWanted() {
			n.log.Info("plugin is restarted", "pid", process.PID())
			n.turn(resource.NetworkStarting, "its plugin is being restarted")
			process.Terminate(instance.TerminateGrace)
			process, wait = nil, backoff.First
			continue
		}
		if instance.Alive(process) {
			continue // woken for a restart that has been made already
		}
		wait = wait.AfterLife(time.Since(since))
		n.log.Warn("plugin died", "how", process.Death(), "again in", wait)
		n.publishPlugin(event.ActionDie, process.Death())
		n.turn(resource.NetworkStarting, "its plugin "+process.Death())
		process = nil
		wait = n.backOff(ctx, wait)
	}
}

// backOff waits for d, a restart or the end of ctx and returns the next delay.
func (n *network) backOff(ctx context.Context, d backoff.Delay) backoff.Delay {
	timer := time.NewTimer(time.Duration(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.wake:
		return backoff.First
	case <-ctx.Done():
	}
	return d.Next()
}

// answer tells those who wait for a new process what came of it.
func answer(restarts []chan error, err error) {
	for _, r := range restarts {
		r <- err
	}
}

// bringUp adopts or starts the plugin and makes its network, when it is its turn. A process
// that fails is ended; one that is interrupted by the end of ctx is left for the
// next patchbayd.
func (n *network) bringUp(ctx context.Context) (*helper.Process, error) {
	select {
	case n.service.places <- struct{}{}:
		defer func() { <-n.service.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.launches.Add(1)
	p, err := n.plugin.Launch()
	if err != nil {
		return nil, err
	}
	err = n.plugin.Hello(ctx, p)
	if err == nil {
		err = n.realize(ctx, p)
	}
	if err != nil && ctx.Err() == nil {
		p.Terminate(instance.TerminateGrace)
	}
	return p, err
}

// follow takes in the plugin's states until the process ends, is to be replaced,
// or ctx ends.
func (n *network) follow(ctx context.Context, process *helper.Process) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.watch(ctx)
	}()
	select {
	case <-process.Done():
	case <-n.wake:
	case <-ctx.Done():
	}
	cancel()
	<-ended
}

func (n *network) watch(ctx context.Context) {
	for {
		err := n.watchOnce(ctx)
		if ctx.Err() != nil || errors.Is(err, errdefs.ErrNotImplemented) {
			return
		}
		n.log.Debug("stream of states was lost", "error", err)
		backoff.Pause(ctx, watchDelay)
	}
}

func (n *network) watchOnce(ctx context.Context) error {
	stream, err := n.plugin.Client.Watch(ctx, &pluginv1.WatchRequest{})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // it is of no more use
	n.note((*knowledge.Knowledge).Follow)
	defer n.note((*knowledge.Knowledge).Lose)
	for {
		message, err := stream.Receive()
		if err != nil {
			return err
		}
		status, err := pluginwire.StatusFromProto(message.GetStatus())
		if err != nil {
			return instance.Garbage(err)
		}
		if ctx.Err() == nil {
			n.hear(recognized(status), message.GetRevision(), message.GetAll())
		}
	}
}

func (n *network) hear(s resource.NetworkStatus, revision uint64, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.enter(n.known.Hear(n.status, s, revision, all))
}
