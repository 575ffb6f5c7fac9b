package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// ContainerBriefToProto converts what a brief list has of a container.
func ContainerBriefToProto(c resource.Container) *apiserverv1.Container {
	whole := c.Configuration
	c.Labels, c.Status.Ports, c.Status.Traffic = nil, nil, nil
	c.Configuration = resource.ContainerConfiguration{Image: whole.Image, Process: resource.Process{Args: whole.Process.Args}, Ports: whole.Ports}
	c.Status.Attachments = field.Each(c.Status.Attachments, func(a resource.Attachment) resource.Attachment {
		return resource.Attachment{Network: a.Network, IPv4Address: a.IPv4Address, IPv6Address: a.IPv6Address}
	})
	if len(c.Status.Attachments) == 0 {
		c.Configuration.Networks = field.Each(whole.Networks, func(w resource.AttachmentConfiguration) resource.AttachmentConfiguration {
			return resource.AttachmentConfiguration{Network: w.Network}
		})
	}
	return ContainerToProto(c)
}
