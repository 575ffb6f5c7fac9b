package resource

import (
	"fmt"
	"net/netip"
	"strconv"
)

// MaxPublishedPorts is how many ports a container may publish: each takes a socket
// of its runtime helper.
const MaxPublishedPorts = 4096

// The protocols of published ports.
const (
	ProtocolTCP = "tcp"
	ProtocolUDP = "udp"
)

// PublishedPort forwards a port of the host to a port of a container.
type PublishedPort struct {
	Protocol    string     `json:"protocol"`             // "tcp" or "udp"
	HostAddress netip.Addr `json:"hostAddress,omitzero"` // zero: all; 0.0.0.0 and ::, all of a family
	HostPort    uint16     `json:"hostPort"`             // 0, in requests only: one is chosen
	// HostPortEnd, in requests only, has one chosen of HostPort to this; 0:
	// HostPort itself.
	HostPortEnd   uint16 `json:"hostPortEnd,omitempty"`
	ContainerPort uint16 `json:"containerPort"`
}

// Chosen reports whether the host port is a certain one.
func (p PublishedPort) Chosen() bool { return p.HostPort != 0 && p.HostPortEnd == 0 }

// Clashes reports whether two ports cannot be open at the same time. Those that
// are not chosen yet clash with none.
func (p PublishedPort) Clashes(q PublishedPort) bool {
	if p.Protocol != q.Protocol || p.HostPort != q.HostPort || !p.Chosen() || !q.Chosen() {
		return false
	}
	a, b := p.HostAddress, q.HostAddress
	if !a.IsValid() || !b.IsValid() {
		return true
	}
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}

// Host is the host's side as a user writes it: "8080/tcp", "127.0.0.1:8080/tcp".
func (p PublishedPort) Host() string {
	port := strconv.Itoa(int(p.HostPort))
	if p.HostPortEnd != 0 {
		port += "-" + strconv.Itoa(int(p.HostPortEnd))
	}
	switch {
	case !p.HostAddress.IsValid():
	case p.HostAddress.Is4():
		port = p.HostAddress.String() + ":" + port
	default:
		port = "[" + p.HostAddress.String() + "]:" + port
	}
	return port + "/" + p.Protocol
}

// ListenAddress is the host's side in the words of the package net: all addresses
// are those of both families.
func (p PublishedPort) ListenAddress() (network, address string) {
	switch a := p.HostAddress; {
	case !a.IsValid():
		return p.Protocol, ":" + strconv.Itoa(int(p.HostPort))
	case a.Is4():
		return p.Protocol + "4", netip.AddrPortFrom(a, p.HostPort).String()
	default:
		return p.Protocol + "6", netip.AddrPortFrom(a, p.HostPort).String()
	}
}

func validatePorts(ports []PublishedPort) []error {
	var faults []error
	if len(ports) > MaxPublishedPorts {
		return []error{fmt.Errorf("publish: %d ports, want at most %d", len(ports), MaxPublishedPorts)}
	}
	for i, p := range ports {
		faults = append(faults, p.faults()...)
		for _, q := range ports[:i] {
			if p.Clashes(q) {
				faults = append(faults, fmt.Errorf("publish %s: is published twice, for port %d and port %d of the container", p.Host(), q.ContainerPort, p.ContainerPort))
				break
			}
		}
	}
	return faults
}

func (p PublishedPort) faults() []error {
	var faults []error
	if p.Protocol != ProtocolTCP && p.Protocol != ProtocolUDP {
		faults = append(faults, fmt.Errorf("publish %s: protocol %q: want tcp or udp", p.Host(), p.Protocol))
	}
	if p.ContainerPort == 0 {
		faults = append(faults, fmt.Errorf("publish %s: container port: want 1 to 65535", p.Host()))
	}
	if p.HostPortEnd != 0 && (p.HostPort == 0 || p.HostPortEnd < p.HostPort) {
		faults = append(faults, fmt.Errorf("publish %s: want a range with its lower end first", p.Host()))
	}
	if a := p.HostAddress; a.Zone() != "" || a.Is4In6() || a.IsMulticast() {
		faults = append(faults, fmt.Errorf("publish %s: host address %v: want an address of the host without a zone", p.Host(), a))
	}
	return faults
}
