package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// ContainerStatsToProto converts the sample of a container; one with a fault has
// none.
func ContainerStatsToProto(s resource.ContainerStats) *apiserverv1.ContainerStats {
	out := &apiserverv1.ContainerStats{Id: s.ID, Name: s.Name, Fault: s.Fault}
	if s.Fault == "" {
		out.Sample = wire.SampleToProto(s.Sample)
	}
	return out
}

// ContainerStatsFromProto converts the sample of a container.
func ContainerStatsFromProto(s *apiserverv1.ContainerStats) resource.ContainerStats {
	return resource.ContainerStats{ID: s.GetId(), Name: s.GetName(), Sample: wire.SampleFromProto(s.GetSample()), Fault: s.GetFault()}
}
