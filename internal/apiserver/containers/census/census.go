// Package census tells other services what containers there are: how many run, by whose
// helpers, and who keeps a network, an image or an address from being given up.
package census

import (
	"slices"

	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/internal/apiserver/containers/stored"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Population is the containers that there are.
type Population interface {
	// Known returns all, the youngest first, with as much of their status as is known without
	// asking their helpers.
	Known() []resource.Container
	// EachKept calls f with each that is not being deleted. None comes or goes meanwhile.
	EachKept(f func(*stored.Container))
}

// Census is what there is to tell. It is safe for concurrent use if the population is.
type Census struct{ Of Population }

// Count returns how many containers run and how many do not.
func (c Census) Count() (running, stopped int) { return status.Count(c.Of.Known()) }

// Instances returns the running helpers of each runtime plugin.
func (c Census) Instances() map[string][]resource.PluginInstance {
	out := map[string][]resource.PluginInstance{}
	for _, known := range c.Of.Known() {
		if runtime, pid := known.Configuration.Runtime, known.Status.HelperPID; pid != 0 {
			one := resource.PluginInstance{Resource: known.Name, PID: pid, State: string(resource.ContainerRunning)}
			out[runtime] = append(out[runtime], one)
		}
	}
	return out
}

// ContainersOn returns the names of the containers configured for a network.
func (c Census) ContainersOn(networkID string) []string {
	return c.namesOf(func(kept *stored.Container) bool {
		return slices.ContainsFunc(kept.Config().Networks, func(w resource.AttachmentConfiguration) bool { return w.Network == networkID })
	})
}

// ContainersUsing returns the names of the containers made from the image with
// a digest.
func (c Census) ContainersUsing(digest string) []string {
	return c.namesOf(func(kept *stored.Container) bool { return kept.Config().ImageDigest == digest })
}

func (c Census) namesOf(match func(*stored.Container) bool) []string {
	var names []string
	c.Of.EachKept(func(kept *stored.Container) {
		if match(kept) {
			names = append(names, kept.Name())
		}
	})
	slices.Sort(names)
	return names
}

// Reservations returns the static addresses of the containers on a network.
func (c Census) Reservations(networkID string) []pluginwire.Reservation {
	var out []pluginwire.Reservation
	c.Of.EachKept(func(kept *stored.Container) {
		of := kept.Wishes()
		for _, w := range of.Wishes {
			if w.Network == networkID && w.Static() {
				out = append(out, of.Reservation(w))
			}
		}
	})
	return out
}
