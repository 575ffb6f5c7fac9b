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

// PublishedPortsFromProto converts published ports; none are nil.
func PublishedPortsFromProto(ports []*typesv1.PublishedPort) ([]resource.PublishedPort, error) {
	if len(ports) == 0 {
		return nil, nil
	}
	return AppendPublishedPorts(make([]resource.PublishedPort, 0, len(ports)), ports)
}

// AppendPublishedPorts is PublishedPortsFromProto for who has memory for them. After an error, what makes no sense of a
// port is left out.
func AppendPublishedPorts(out []resource.PublishedPort, ports []*typesv1.PublishedPort) ([]resource.PublishedPort, error) {
	var f field.Faults
	for _, p := range ports {
		out = append(out, resource.PublishedPort{
			Protocol:      p.GetProtocol(),
			HostAddress:   f.Addr("host address", p.GetHostAddress()),
			HostPort:      f.Port("host port", p.GetHostPort()),
			HostPortEnd:   f.Port("host port", p.GetHostPortEnd()),
			ContainerPort: f.Port("container port", p.GetContainerPort()),
		})
	}
	return out, f.Err()
}
