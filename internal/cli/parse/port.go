package parse

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"patchbay.dev/patchbay/resource"
)

const publishForm = "want [[ADDRESS:][PORT[-END]]:]CONTAINER-PORT[-END][/tcp|/udp], an IPv6 address in []"

// Ports parses the values of a repeated --publish.
func Ports(values []string) ([]resource.PublishedPort, error) {
	var out []resource.PublishedPort
	var errs []error
	for _, v := range values {
		ports, err := Port(v)
		out, errs = append(out, ports...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// Port parses [[ADDRESS:][PORT[-END]]:]CONTAINER-PORT[-END][/PROTOCOL]. Two ranges
// of the same length are as many ports; a range of the host for one port of the
// container leaves the choice open, as does none.
func Port(s string) ([]resource.PublishedPort, error) {
	fault := func(format string, args ...any) ([]resource.PublishedPort, error) {
		return nil, fmt.Errorf("publish %q: "+format, append([]any{s}, args...)...)
	}
	rest, protocol, given := strings.Cut(s, "/")
	if !given {
		protocol = resource.ProtocolTCP
	}
	protocol = strings.ToLower(protocol)
	if protocol != resource.ProtocolTCP && protocol != resource.ProtocolUDP {
		return fault("protocol %q: want tcp or udp", protocol)
	}
	address, host, container, ok := splitPort(rest)
	if !ok || rest == "" {
		return fault("%s", publishForm)
	}
	p := resource.PublishedPort{Protocol: protocol}
	if address != "" {
		a, err := netip.ParseAddr(address)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return fault("host address %q: want an IPv4 address, or an IPv6 address in [] and without a zone", address)
		}
		p.HostAddress = a
	}
	target, ok := parsePorts(container)
	if !ok {
		return fault("container port %q: want 1 to 65535, or a range of these", container)
	}
	if host == "" {
		return eachPort(p, portRange{}, target), nil
	}
	source, ok := parsePorts(host)
	switch {
	case !ok:
		return fault("host port %q: want 1 to 65535, a range of these, or nothing to have one chosen", host)
	case target.count() > 1 && source.count() != target.count():
		return fault("%d host ports for %d container ports: want as many", source.count(), target.count())
	}
	return eachPort(p, source, target), nil
}

// splitPort takes apart [[ADDRESS:][HOST]:]CONTAINER.
func splitPort(s string) (address, host, container string, ok bool) {
	if inner, found := strings.CutPrefix(s, "["); found {
		address, s, ok = strings.Cut(inner, "]:")
		if !ok || !strings.Contains(address, ":") || strings.Count(s, ":") != 1 {
			return "", "", "", false
		}
		host, container, _ = strings.Cut(s, ":")
		return address, host, container, true
	}
	switch parts := strings.Split(s, ":"); len(parts) {
	case 1:
		return "", "", parts[0], true
	case 2:
		return "", parts[0], parts[1], true
	case 3:
		return parts[0], parts[1], parts[2], parts[0] != ""
	}
	return "", "", "", false
}

// portRange is first to last, both of them too; zero: none.
type portRange struct{ first, last uint16 }

func (r portRange) count() int { return int(r.last) - int(r.first) + 1 }

func parsePorts(s string) (portRange, bool) {
	from, to, isRange := strings.Cut(s, "-")
	first, ok1 := port(from)
	if !isRange {
		return portRange{first, first}, ok1
	}
	last, ok2 := port(to)
	return portRange{first, last}, ok1 && ok2 && first <= last
}

// port accepts decimal digits alone, without a sign.
func port(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0 && s[0] != '0'
}

// eachPort returns a port for each of the container's.
func eachPort(p resource.PublishedPort, source, target portRange) []resource.PublishedPort {
	out := make([]resource.PublishedPort, 0, target.count())
	for i := range target.count() {
		p.ContainerPort = target.first + uint16(i)
		switch {
		case source == (portRange{}):
		case target.count() == 1 && source.count() > 1:
			p.HostPort, p.HostPortEnd = source.first, source.last
		default:
			p.HostPort = source.first + uint16(i)
		}
		out = append(out, p)
	}
	return out
}

// PortQuery parses PORT[/PROTOCOL] of a container; the protocol is tcp unless
// given.
func PortQuery(s string) (number uint16, protocol string, err error) {
	digits, protocol, given := strings.Cut(s, "/")
	if !given {
		protocol = resource.ProtocolTCP
	}
	number, ok := port(digits)
	protocol = strings.ToLower(protocol)
	if !ok || protocol != resource.ProtocolTCP && protocol != resource.ProtocolUDP {
		return 0, "", fmt.Errorf("port %q: want PORT, PORT/tcp or PORT/udp", s)
	}
	return number, protocol, nil
}
