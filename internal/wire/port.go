package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// PublishedPortsToProto converts published ports.
func PublishedPortsToProto(ports []resource.PublishedPort) []*typesv1.PublishedPort {
	return each(ports, func(p resource.PublishedPort) *typesv1.PublishedPort {
		return &typesv1.PublishedPort{
			Protocol:      p.Protocol,
			HostAddress:   addrString(p.HostAddress),
			HostPort:      uint32(p.HostPort),
			HostPortEnd:   uint32(p.HostPortEnd),
			ContainerPort: uint32(p.ContainerPort),
		}
	})
}

// PublishedPortsFromProto converts published ports.
func PublishedPortsFromProto(ports []*typesv1.PublishedPort) ([]resource.PublishedPort, error) {
	var f faults
	out := publishedPorts(&f, ports)
	return out, f.err()
}

func publishedPorts(f *faults, ports []*typesv1.PublishedPort) []resource.PublishedPort {
	return each(ports, func(p *typesv1.PublishedPort) resource.PublishedPort {
		return resource.PublishedPort{
			Protocol:      p.GetProtocol(),
			HostAddress:   f.addr("host address", p.GetHostAddress()),
			HostPort:      f.port("host port", p.GetHostPort()),
			HostPortEnd:   f.port("host port", p.GetHostPortEnd()),
			ContainerPort: f.port("container port", p.GetContainerPort()),
		}
	})
}
