package containers

import (
	"slices"

	"patchbay.dev/patchbay/internal/apiserver/containers/hostport"
	"patchbay.dev/patchbay/resource"
)

// choosePorts gives each port of a new container its host port, for good: it is
// the same after each start. Those of other containers are not chosen, whether
// they run or not. Service.choosing is held.
func (s *Service) choosePorts(ports []resource.PublishedPort) ([]resource.PublishedPort, error) {
	if !slices.ContainsFunc(ports, func(p resource.PublishedPort) bool { return !p.Chosen() }) {
		return ports, nil
	}
	s.mu.Lock()
	var used [][]resource.PublishedPort
	for e := range s.index.All() {
		used = append(used, e.Config().Ports)
	}
	s.mu.Unlock()
	return hostport.Choose(ports, slices.Concat(used...))
}

// portFaults names, for each port of a container that another one has open now,
// that one. Service.mu is held.
func (s *Service) portFaults(e *entry) error {
	open := map[string][]resource.PublishedPort{}
	for other := range s.index.All() {
		if other != e && other.run != nil {
			open[other.Name()] = other.Config().Ports
		}
	}
	return hostport.Taken(e.Name(), e.Config().Ports, hostport.Among(e.Config().Ports, open))
}
