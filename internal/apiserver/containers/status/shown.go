package status

import (
	"unsafe"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// Shown is a container as it was described last. The zero value is of one that was not. It
// is not safe for concurrent use.
type Shown struct {
	as            *snapshot.Of[resource.Container]
	configuration *resource.ContainerConfiguration
}

// Describe returns what there is to say of a container now: what it has returned before,
// where nothing else is to be said. A configuration is nowhere changed, but replaced, and so is what
// a status refers to.
func (s *Shown) Describe(of resource.Metadata, c *resource.ContainerConfiguration, now resource.ContainerStatus) *snapshot.Of[resource.Container] {
	if s.as == nil || s.configuration != c || !Same(&s.as.Value.Status, &now) {
		s.configuration = c
		s.as = &snapshot.Of[resource.Container]{Value: resource.Container{Metadata: of, Configuration: *c, Status: now}}
	}
	return s.as
}

// Same reports whether two statuses are the same: what they refer to is nowhere changed, but
// replaced.
func Same(a, b *resource.ContainerStatus) bool {
	return a.State == b.State && a.Message == b.Message &&
		a.PID == b.PID && a.HelperPID == b.HelperPID &&
		a.StartedAt.Equal(b.StartedAt) && a.ExitedAt.Equal(b.ExitedAt) &&
		a.ExitCode == b.ExitCode && a.OutOfMemory == b.OutOfMemory &&
		identical(a.Attachments, b.Attachments) && identical(a.Faults, b.Faults) &&
		identical(a.Ports, b.Ports) && identical(a.Traffic, b.Traffic) && a.Machine == b.Machine
}

// identical reports whether two slices are the same one.
func identical[T any](a, b []T) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}
