package networkplugin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"patchbay.dev/patchbay/resource"
)

// watch follows what a network reports of itself, once for each start.
func (s *service) watch(network Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwatch != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	s.unwatch = func() { cancel(); following.Wait() }
	if watcher, ok := network.(Watcher); ok {
		following.Go(func() { watcher.Watch(ctx, s.report) })
	}
	if warner, ok := network.(Warner); ok {
		following.Go(func() { warner.Warn(ctx, s.warn) })
	}
}

func (s *service) warn(warnings []string) {
	s.mu.Lock()
	s.warnings = slices.Clone(warnings)
	s.mu.Unlock()
	s.bump()
}

func (s *service) report(state resource.NetworkState, message string) {
	s.mu.Lock()
	s.state, s.message = state, message
	s.mu.Unlock()
	s.bump()
}

// bump tells those who wait that the status may have changed.
func (s *service) bump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	s.wake()
}

// used notes that a lease came, went or was set aside. Of many such changes one is told,
// when somebody has asked since the one before: who wants to know the rest asks.
func (s *service) used() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if !s.quiet {
		s.wake()
	}
}

// wake is for callers who hold mu.
func (s *service) wake() {
	s.quiet = true
	s.followers.wake(s.tell)
}

// moment is when a status was true, as in service.
type moment struct{ revision, asked uint64 }

func (s *service) now() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment{s.revision, s.asked}
}

// answering is now for an answer to Status: who gets it wants to hear of the next change.
func (s *service) answering() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.quiet = s.revision, false
	return moment{s.revision, s.asked}
}

// status says what is true. What was so at a moment taken before is in it, and who
// waits for changes since then misses none.
func (s *service) status() (resource.NetworkStatus, error) {
	troubles := s.table.Troubles()
	usage := s.table.Usage()
	// One family stands for both; of a network without addresses there are leases.
	first := cmp.Or(usage.IPv4, usage.IPv6, resource.AddressUsage{InUse: usage.Leases})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil || s.stored.Realization == nil && s.failure == nil {
		return resource.NetworkStatus{}, errNotStarted
	}
	out := resource.NetworkStatus{
		State: s.state, Message: s.message,
		Warnings:       s.warnings,
		AddressesInUse: first.InUse, AddressesTotal: first.Total, AddressesReserved: first.Reserved,
		IPv4Addresses: usage.IPv4, IPv6Addresses: usage.IPv6,
	}
	if r := s.stored.Realization; r != nil {
		out.IPv4Subnet, out.IPv4Gateway = r.IPv4Subnet, r.IPv4Gateway
		out.IPv6Subnet, out.IPv6Gateway = r.IPv6Subnet, r.IPv6Gateway
		out.MTU = r.MTU
	}
	if s.message != "" {
		troubles = append([]string{s.message}, troubles...)
	}
	if s.misfit != nil {
		troubles = append(troubles, s.misfit.Error())
	}
	out.Message = strings.Join(troubles, "; ")
	switch {
	case s.failure != nil:
		out.State, out.Message = resource.NetworkFailed, s.failure.Error()
	case !s.started:
		out.State, out.Message = resource.NetworkFailed, "stopped"
	case out.State == resource.NetworkReady && len(troubles) > 0:
		out.State = resource.NetworkDegraded
	}
	return out, nil
}
