// Package hold keeps the leases of a sandbox held: one stream for each to the
// plugin that gave it.
package hold

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

const (
	// confirmTimeout is how long a plugin may take to confirm a hold.
	confirmTimeout = 10 * time.Second
	// The bounds of the back-off of redialling. The longest is well below the
	// grace that a restarted plugin gives its orphaned leases.
	firstRedial = 20 * time.Millisecond
	lastRedial  = time.Second
)

// Stream is an open Hold call: Receive blocks until the next message or the
// end of the stream.
type Stream interface {
	Receive() error
	Close()
}

// Dial opens a Hold call to the plugin that gave a lease.
type Dial func(ctx context.Context, lease resource.LeaseReference, namespace string) (Stream, error)

// Leases holds the leases of one sandbox: one Hold stream for each, which is
// opened again, for ever, when it breaks.
type Leases struct {
	// Again is called when a lease is held anew, with the socket of its plugin;
	// nil: nothing.
	Again func(ctx context.Context, socket string)
	// Changed is called when Faults are others than before; nil: nothing.
	Changed func()
	dial    Dial
	log     *slog.Logger

	mu      sync.Mutex
	keepers map[string]*keeper // guarded by mu; by key
	faults  map[string]string  // guarded by mu; by key
}

// New returns leases none of which is held.
func New(dial Dial, log *slog.Logger) *Leases {
	return &Leases{dial: dial, log: log, keepers: make(map[string]*keeper), faults: make(map[string]string)}
}

// Hold makes leases held, all or none. The streams stay open until they are let
// go, whatever becomes of ctx.
func (l *Leases) Hold(ctx context.Context, attachments []resource.AllocatedAttachment, namespace string) error {
	group, waiting := errgroup.WithContext(ctx)
	for _, a := range attachments {
		k := &keeper{leases: l, lease: a.Lease, namespace: namespace, ended: make(chan struct{})}
		life, cancel := context.WithCancel(context.WithoutCancel(ctx))
		k.cancel = cancel
		group.Go(func() error {
			stream, err := k.open(waiting, life)
			if err != nil {
				cancel()
				return fmt.Errorf("network %s: hold the lease: %w", a.Attachment.Network, err)
			}
			l.add(k)
			go func() {
				defer close(k.ended)
				k.keep(life, stream)
			}()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		for _, a := range attachments {
			l.LetGo(a.Lease.Key)
		}
		return err
	}
	return nil
}

func (l *Leases) add(k *keeper) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepers[k.lease.Key] = k
}

// LetGo closes the stream of a lease, if there is one: the plugin then takes the
// port off its network and frees the address.
func (l *Leases) LetGo(key string) {
	l.mu.Lock()
	k := l.keepers[key]
	delete(l.keepers, key)
	l.mu.Unlock()
	if k == nil {
		return
	}
	k.cancel()
	<-k.ended
	l.setFault(key, "")
}

// Release lets all leases go.
func (l *Leases) Release() {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.keepers))
	l.mu.Unlock()
	for _, k := range all {
		k.cancel()
	}
	for _, k := range all {
		l.LetGo(k.lease.Key)
	}
}

// Faults says which leases are not held now, and why.
func (l *Leases) Faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, f := range l.faults {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

func (l *Leases) setFault(key, fault string) {
	l.mu.Lock()
	changed := l.faults[key] != fault
	if fault == "" {
		delete(l.faults, key)
	} else {
		l.faults[key] = fault
	}
	l.mu.Unlock()
	if changed && l.Changed != nil {
		l.Changed()
	}
}

// keeper keeps the stream of one lease.
type keeper struct {
	leases    *Leases
	lease     resource.LeaseReference
	namespace string
	cancel    context.CancelFunc // ends it
	ended     chan struct{}      // closed when it has, once it is among the keepers
}

// open opens a stream that lives as long as life and has been confirmed; ctx and
// a time limit bound the wait for that.
func (k *keeper) open(ctx, life context.Context) (Stream, error) {
	streamCtx, cancel := context.WithCancel(life)
	timer := time.AfterFunc(confirmTimeout, cancel)
	defer timer.Stop()
	defer context.AfterFunc(ctx, cancel)()

	stream, err := k.leases.dial(streamCtx, k.lease, k.namespace)
	if err == nil {
		stream = &cancelStream{stream, cancel}
		err = stream.Receive()
		if err == nil {
			return stream, nil
		}
		stream.Close()
	}
	cancel()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.Canceled) && life.Err() == nil:
		return nil, fmt.Errorf("its plugin did not answer within %v: %w", confirmTimeout, errdefs.ErrUnavailable)
	}
	return nil, err
}

// cancelStream frees what the stream's context holds when it is closed.
type cancelStream struct {
	Stream
	cancel context.CancelFunc
}

func (s *cancelStream) Close() {
	s.cancel()
	s.Stream.Close()
}

// keep watches the stream and opens it again when it breaks, until life ends.
func (k *keeper) keep(life context.Context, stream Stream) {
	for {
		err := stream.Receive()
		if err == nil {
			continue // a message of a later version
		}
		stream.Close()
		if life.Err() != nil {
			return
		}
		k.leases.log.Warn("lost the hold on a lease", "key", k.lease.Key, "error", err)
		if stream = k.reopen(life); stream == nil {
			return
		}
		k.leases.setFault(k.lease.Key, "")
		k.leases.log.Info("hold a lease again", "key", k.lease.Key)
		if k.leases.Again != nil {
			k.leases.Again(life, k.lease.Socket)
		}
	}
}

// reopen tries until it has a stream, or returns nil when life has ended.
func (k *keeper) reopen(life context.Context) Stream {
	for delay := firstRedial; ; delay = min(2*delay, lastRedial) {
		stream, err := k.open(life, life)
		if err == nil {
			return stream
		}
		k.leases.setFault(k.lease.Key, fmt.Sprintf("lease %s is not held: %v", k.lease.Key, err))
		timer := time.NewTimer(delay)
		select {
		case <-life.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// RPC is Dial over the wire.
func RPC(ctx context.Context, lease resource.LeaseReference, namespace string) (Stream, error) {
	plugin := pluginclient.Dial(lease.Socket, lease.Codec)
	stream, err := plugin.Hold(trace.Briefly(ctx), &pluginv1.HoldRequest{Keys: []string{lease.Key}, NetworkNamespace: namespace})
	if err != nil {
		plugin.Close()
		return nil, err
	}
	return &rpcStream{receive: func() error { _, err := stream.Receive(); return err }, close: func() {
		_ = stream.Close()
		plugin.Close()
	}}, nil
}

type rpcStream struct {
	receive func() error
	close   func()
}

func (s *rpcStream) Receive() error { return s.receive() }
func (s *rpcStream) Close()         { s.close() }
