package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// PublishedPortsToProto converts published ports.
func PublishedPortsToProto(ports []resource.PublishedPort) []*typesv1.PublishedPort {
	return field.Each(ports, func(p resource.PublishedPort) *typesv1.PublishedPort {
		return &typesv1.PublishedPort{
			Protocol:      p.Protocol,
			HostAddress:   field.AddrString(p.HostAddress),
			HostPort:      uint32(p.HostPort),
			HostPortEnd:   uint32(p.HostPortEnd),
			ContainerPort: uint32(p.ContainerPort),
		}
	})
}

// PublishedPortsFromProto converts published ports.
func PublishedPortsFromProto(ports []*typesv1.PublishedPort) ([]resource.PublishedPort, error) {
	var f field.Faults
	out := field.Each(ports, func(p *typesv1.PublishedPort) resource.PublishedPort {
		return resource.PublishedPort{
			Protocol:      p.GetProtocol(),
			HostAddress:   f.Addr("host address", p.GetHostAddress()),
			HostPort:      f.Port("host port", p.GetHostPort()),
			HostPortEnd:   f.Port("host port", p.GetHostPortEnd()),
			ContainerPort: f.Port("container port", p.GetContainerPort()),
		}
	})
	return out, f.Err()
}
