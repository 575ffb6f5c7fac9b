package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

const (
	// lookupTimeout is how long one network may take to answer. It is well
	// below what the C library waits for an answer (5 s, resolv.conf(5)), so
	// that there is time left for a name server.
	lookupTimeout = time.Second
	// quietTime is how long a network that did not answer in time is not asked
	// again, so that a plugin that hangs does not slow all names down.
	quietTime = 2 * time.Second
	// redialTime is between two tries to reach a plugin that is being started.
	redialTime = 50 * time.Millisecond
)

// Source knows what is on one network. Its methods are called at the same time.
// A source that is not there at the moment is errdefs.ErrUnavailable; it is asked
// again for a short time.
type Source interface {
	// ByName returns what a name without dot at its end stands for, in any
	// case of letters; nothing is no error.
	ByName(ctx context.Context, name string) ([]Match, error)
	ByAddress(ctx context.Context, address netip.Addr) ([]Match, error)
}

// Match is one container on a network.
type Match struct {
	Owner     string // name of the container; empty: unknown
	Addresses []netip.Addr
}

// Network is one network of the container.
type Network struct {
	name   string
	source Source

	mu    sync.Mutex
	quiet time.Time // guarded by mu; not asked before that
}

// NewNetwork returns a network by its name, on which source knows who is there.
func NewNetwork(name string, source Source) *Network { return &Network{name: name, source: source} }

// byName returns what a name stands for on the network: as it is, and without
// the network's name at its end.
func (n *Network) byName(ctx context.Context, name string) ([]Match, error) {
	return n.ask(ctx, func(ctx context.Context) ([]Match, error) {
		found, err := n.source.ByName(ctx, name)
		short, scoped := cutSuffixFold(name, "."+n.name)
		if err != nil || !scoped || short == "" {
			return found, err
		}
		more, err := n.source.ByName(ctx, short)
		return append(found, more...), err
	})
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if at := len(s) - len(suffix); at >= 0 && strings.EqualFold(s[at:], suffix) {
		return s[:at], true
	}
	return s, false
}

func (n *Network) byAddress(ctx context.Context, address netip.Addr) ([]Match, error) {
	return n.ask(ctx, func(ctx context.Context) ([]Match, error) { return n.source.ByAddress(ctx, address) })
}

// errQuiet is the answer of a network that did not answer shortly before.
var errQuiet = errors.New("its plugin does not answer")

// ask bounds what a network costs that hangs, and bridges the restart of its
// plugin.
func (n *Network) ask(ctx context.Context, question func(context.Context) ([]Match, error)) ([]Match, error) {
	n.mu.Lock()
	quiet := time.Now().Before(n.quiet)
	n.mu.Unlock()
	if quiet {
		return nil, errQuiet
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for {
		found, err := question(ctx)
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, errdefs.ErrUnavailable) && ctx.Err() == nil {
			return nil, err
		}
		retry := time.NewTimer(redialTime)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			n.mu.Lock()
			n.quiet = time.Now().Add(quietTime)
			n.mu.Unlock()
			return nil, err
		}
	}
}

// found is what the networks say about a name or an address.
type found struct {
	groups [][]Match // by network, in their order
	owners []string  // the first owner's full name, for an address
	failed bool      // a network could not be asked
}

func (f found) any() bool {
	return slices.ContainsFunc(f.groups, func(g []Match) bool { return len(g) > 0 })
}

// each asks all networks at the same time.
func each(networks []*Network, question func(*Network) ([]Match, error)) found {
	out := found{groups: make([][]Match, len(networks))}
	errs := make([]error, len(networks))
	var asked sync.WaitGroup
	for i, n := range networks {
		asked.Go(func() { out.groups[i], errs[i] = question(n) })
	}
	asked.Wait()
	for i, n := range networks {
		out.failed = out.failed || errs[i] != nil
		for _, m := range out.groups[i] {
			if m.Owner != "" {
				out.owners = append(out.owners, m.Owner+"."+n.name)
			}
		}
	}
	return out
}
