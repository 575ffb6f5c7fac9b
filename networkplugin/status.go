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
	s.followers.wake(s.tell)
}

// used notes that a lease came, went or was set aside. Where a call is under way that may have done it, its answer
// tells of that.
func (s *service) used() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if s.calls == 0 {
		s.followers.wake(s.tell)
	}
}

// moment is when a status was true.
type moment struct {
	revision uint64
	told     uint64 // up to there changes are told by answers: those that were given, or that of a call under way
}

func (s *service) now() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nowLocked()
}

func (s *service) nowLocked() moment {
	if s.calls > 0 {
		return moment{s.revision, s.revision}
	}
	return moment{s.revision, s.answered}
}

// answering is now for an answer that tells of all changes until then.
func (s *service) answering() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = s.revision
	return s.nowLocked()
}

// begin begins a call whose answer is to tell of what it changes. It ends with end.
func (s *service) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
}

// end ends a call that was begun. Without an answer, followers are told of what has changed meanwhile.
func (s *service) end(answered bool) moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	if answered {
		s.answered = s.revision
	} else if s.calls == 0 && s.revision > s.answered {
		s.followers.wake(s.tell)
	}
	return s.nowLocked()
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
