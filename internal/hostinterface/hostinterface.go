// Package hostinterface is for networks that are on an interface of the host: what they
// take from it, and what to report of it.
package hostinterface

import (
	"context"
	"net/netip"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// Reporter is what a network embeds to be a Checker, Watcher and Warner of
// package networkplugin. All fields but Host are required.
type Reporter struct {
	Host *netns.Namespace // where the interface is; nil: the process's
	// Fault says what is wrong with the interface, or nothing.
	Fault func(*link.Handle) string
	// Place returns the interface's name and the subnets of the network.
	Place func() (string, []netip.Prefix)
}

// Check returns the interface's fault, if it has one.
func (r Reporter) Check(context.Context) []string {
	links, err := link.Open(r.Host)
	if err != nil {
		return []string{err.Error()}
	}
	defer links.Close()
	if fault := r.Fault(links); fault != "" {
		return []string{fault}
	}
	return nil
}

// Watch reports the network degraded while the interface has a fault.
func (r Reporter) Watch(ctx context.Context, report func(resource.NetworkState, string)) {
	links, err := link.Open(r.Host)
	if err != nil {
		report(resource.NetworkDegraded, err.Error())
		return
	}
	defer links.Close()
	last := "unknown"
	err = links.WatchLinks(ctx, func() {
		fault := r.Fault(links)
		if fault == last {
			return
		}
		last = fault
		if fault != "" {
			report(resource.NetworkDegraded, fault)
			return
		}
		report(resource.NetworkReady, "")
	})
	if err != nil {
		report(resource.NetworkDegraded, err.Error())
	}
}

// Warn reports what of the network's subnets the host uses on other interfaces.
func (r Reporter) Warn(ctx context.Context, report func([]string)) {
	links, err := link.Open(r.Host)
	if err != nil {
		report([]string{err.Error()})
		return
	}
	defer links.Close()
	name, subnets := r.Place()
	if err := overlaps.Watch(ctx, links, name, subnets, report); err != nil {
		report([]string{err.Error()})
	}
}
