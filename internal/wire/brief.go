package wire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// ContainerBriefToProto converts what a brief list has of a container.
func ContainerBriefToProto(c resource.Container) *apiserverv1.Container {
	s := c.Status
	out := &apiserverv1.Container{
		Metadata: &typesv1.Metadata{Id: c.ID, Name: c.Name, CreatedAt: timestamp(c.CreatedAt)},
		Configuration: &apiserverv1.ContainerConfiguration{
			Image:   c.Configuration.Image,
			Process: &typesv1.Process{Args: c.Configuration.Process.Args},
			Ports:   PublishedPortsToProto(c.Configuration.Ports),
		},
		Status: &apiserverv1.ContainerStatus{
			State:       containerStates.toProto[s.State],
			Message:     s.Message,
			Pid:         int64(s.PID),
			HelperPid:   int64(s.HelperPID),
			StartedAt:   timestamp(s.StartedAt),
			ExitedAt:    timestamp(s.ExitedAt),
			ExitCode:    int32(s.ExitCode),
			OutOfMemory: s.OutOfMemory,
			Faults:      s.Faults,
			Attachments: each(s.Attachments, func(a resource.Attachment) *typesv1.Attachment {
				return &typesv1.Attachment{Network: a.Network, Ipv4Address: prefixString(a.IPv4Address), Ipv6Address: prefixString(a.IPv6Address)}
			}),
		},
	}
	if len(s.Attachments) == 0 {
		out.Configuration.Networks = each(c.Configuration.Networks, func(w resource.AttachmentConfiguration) *typesv1.AttachmentConfiguration {
			return &typesv1.AttachmentConfiguration{Network: w.Network}
		})
	}
	return out
}
