package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/resource"
)

const (
	// holdTimeout is how long a plugin may take to confirm a hold.
	holdTimeout = 10 * time.Second
	// The bounds of the back-off of redialling. The longest is well below the
	// grace that a restarted plugin gives its orphaned leases.
	firstRedial = 20 * time.Millisecond
	lastRedial  = time.Second
)

// holdStream is an open Hold call: Receive blocks until the next message or the
// end of the stream.
type holdStream interface {
	Receive() error
	Close()
}

// dialHold opens a Hold call to the plugin behind a socket.
type dialHold func(ctx context.Context, socket string, codec resource.Codec, r *pluginv1.HoldRequest) (holdStream, error)

// leases holds the leases of one sandbox: one Hold stream for each plugin, which
// is opened again, for ever, when it breaks.
type leases struct {
	dial   dialHold
	log    *slog.Logger
	cancel context.CancelFunc // nil before hold
	// again is called when the leases of a plugin are held anew; nil: nothing.
	again   func(ctx context.Context, socket string)
	keepers sync.WaitGroup

	mu     sync.Mutex
	faults map[string]string // guarded by mu; by socket
}

func newLeases(dial dialHold, log *slog.Logger) *leases {
	return &leases{dial: dial, log: log, faults: make(map[string]string)}
}

// hold makes all leases held. On an error none is. The streams stay open until
// release, whatever becomes of ctx.
func (l *leases) hold(ctx context.Context, attachments []resource.AllocatedAttachment, namespace string) error {
	keys := make(map[string][]string)
	networks := make(map[string]resource.AllocatedAttachment)
	for _, a := range attachments {
		keys[a.Lease.Socket] = append(keys[a.Lease.Socket], a.Lease.Key)
		networks[a.Lease.Socket] = a
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	group, ctx := errgroup.WithContext(ctx)
	for socket, keys := range keys {
		k := &keeper{leases: l, socket: socket, codec: networks[socket].Lease.Codec, keys: keys, namespace: namespace}
		group.Go(func() error {
			stream, err := k.open(ctx, life)
			if err != nil {
				return fmt.Errorf("network %s: hold the lease: %w", networks[socket].Attachment.Network, err)
			}
			l.keepers.Go(func() { k.keep(life, stream) })
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		l.release()
		return err
	}
	return nil
}

// release closes all streams: the plugins then take the ports off their networks
// and free the addresses.
func (l *leases) release() {
	if l.cancel != nil {
		l.cancel()
	}
	l.keepers.Wait()
}

// currentFaults says which leases are not held now, and why.
func (l *leases) currentFaults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, f := range l.faults {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

func (l *leases) setFault(socket, fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fault == "" {
		delete(l.faults, socket)
		return
	}
	l.faults[socket] = fault
}

// keeper keeps the stream to one plugin.
type keeper struct {
	leases    *leases
	socket    string
	codec     resource.Codec // that the plugin spoke when it gave the leases
	keys      []string
	namespace string
}

// open opens a stream that lives as long as life and has been confirmed; ctx and
// a time limit bound the wait for that.
func (k *keeper) open(ctx, life context.Context) (holdStream, error) {
	streamCtx, cancel := context.WithCancel(life)
	timer := time.AfterFunc(holdTimeout, cancel)
	defer timer.Stop()
	defer context.AfterFunc(ctx, cancel)()

	stream, err := k.leases.dial(streamCtx, k.socket, k.codec, &pluginv1.HoldRequest{Keys: k.keys, NetworkNamespace: k.namespace})
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
		return nil, fmt.Errorf("its plugin did not answer within %v: %w", holdTimeout, errdefs.ErrUnavailable)
	}
	return nil, err
}

// cancelStream frees what the stream's context holds when it is closed.
type cancelStream struct {
	holdStream
	cancel context.CancelFunc
}

func (s *cancelStream) Close() {
	s.cancel()
	s.holdStream.Close()
}

// keep watches the stream and opens it again when it breaks, until life ends.
func (k *keeper) keep(life context.Context, stream holdStream) {
	for {
		err := stream.Receive()
		if err == nil {
			continue // a message of a later version
		}
		stream.Close()
		if life.Err() != nil {
			return
		}
		k.leases.log.Warn("lost the hold on leases", "socket", k.socket, "error", err)
		if stream = k.reopen(life); stream == nil {
			return
		}
		k.leases.setFault(k.socket, "")
		k.leases.log.Info("hold leases again", "socket", k.socket)
		if k.leases.again != nil {
			k.leases.again(life, k.socket)
		}
	}
}

// reopen tries until it has a stream, or returns nil when life has ended.
func (k *keeper) reopen(life context.Context) holdStream {
	for delay := firstRedial; ; delay = min(2*delay, lastRedial) {
		stream, err := k.open(life, life)
		if err == nil {
			return stream
		}
		k.leases.setFault(k.socket, fmt.Sprintf("lease %v is not held: %v", k.keys, err))
		timer := time.NewTimer(delay)
		select {
		case <-life.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// rpcHold is dialHold over the wire.
func rpcHold(ctx context.Context, socket string, codec resource.Codec, r *pluginv1.HoldRequest) (holdStream, error) {
	plugin := client.DialNetworkPlugin(socket, codec)
	stream, err := plugin.Hold(ctx, r)
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
