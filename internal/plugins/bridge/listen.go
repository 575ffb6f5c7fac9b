package bridge

import (
	"context"
	"path/filepath"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/hostnews/listener"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/networkplugin"
)

// fewPrefixes are those of so few networks that one process more, which hears for all of them,
// would cost more than it saves.
const fewPrefixes = 32

// listenerOf is in the run root of the instance, above networks/ID/state.
func listenerOf(c networkplugin.Configuration) hostnews.Place {
	place := listener.At(filepath.Join(c.StateDirectory, "../../.."))
	if len(c.Used) < fewPrefixes {
		place.Begin = nil
	}
	return place
}

// Warn reports what of the network's subnets the host uses elsewhere.
func (n *Network) Warn(ctx context.Context, report func([]string)) {
	links, err := link.Open(n.host)
	if err != nil {
		report([]string{err.Error()})
		return
	}
	defer links.Close()
	n.mu.Lock()
	lookout := n.lookout
	n.lookout = nil
	subnets := subnetsOf(n.spec)
	n.mu.Unlock()
	if lookout == nil {
		if lookout, err = overlaps.Keep(links, n.listener, subnets); err != nil {
			report([]string{err.Error()})
			return
		}
	}
	lookout.Watch(ctx, links, n.bridge, report)
}

// keepLookout takes the place of one that no Warn has used.
func (n *Network) keepLookout(l *overlaps.Lookout) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lookout != nil {
		n.lookout.Close()
	}
	n.lookout = l
}
