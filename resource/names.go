package resource

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	// HostGateway stands for the address of the host in an ExtraHost.
	HostGateway = "host-gateway"
	// MaxNameServers is how many name servers are asked (MAXNS of resolv.conf(5)).
	MaxNameServers = 3
	// MaxDomainLength is that of a domain name (RFC 1035 section 2.3.4), without
	// the dot at its end.
	MaxDomainLength = 253
)

// ResolverAddress is where the resolver of a container listens, inside of it.
var ResolverAddress = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// ExtraHost is a name that a container knows beside those of its networks.
type ExtraHost struct {
	Name string `json:"name"`
	// Address zero is the host, as the container reaches it.
	Address netip.Addr `json:"address,omitzero"`
}

// faults reports what is wrong with what a user says about name servers.
func (d DNSConfiguration) faults() []error {
	var faults []error
	if len(d.Servers) > MaxNameServers {
		faults = append(faults, fmt.Errorf("dns: %d name servers, want at most %d", len(d.Servers), MaxNameServers))
	}
	for _, a := range d.Servers {
		switch {
		case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
			faults = append(faults, fmt.Errorf("dns %v: want the ip address of a name server, like 192.0.2.53", a))
		case a.Zone() != "":
			faults = append(faults, fmt.Errorf("dns %v: want an address without a zone", a))
		case a == ResolverAddress:
			faults = append(faults, fmt.Errorf("dns %v: is the container's own resolver, want the server that it shall ask", a))
		}
	}
	for _, domain := range d.Search {
		if domain == "." {
			if len(d.Search) > 1 {
				faults = append(faults, fmt.Errorf("dns search %q: means no domain at all, want it alone", domain))
			}
			continue
		}
		faults = append(faults, validateDomain("dns search", domain))
	}
	for _, o := range d.Options {
		if !isWord(o, lower, lower+digits+"-:") {
			faults = append(faults, fmt.Errorf("dns option %q: want one of resolv.conf(5), like ndots:2", o))
		}
	}
	return faults
}

func (h ExtraHost) faults() []error {
	faults := []error{validateDomain("extra host", h.Name)}
	if a := h.Address; a.Zone() != "" || a.Is4In6() || a.IsMulticast() {
		faults = append(faults, fmt.Errorf("extra host %q: address %v: want one without zone, of one host", h.Name, a))
	}
	return faults
}

// validateDomain accepts what is found by DNS and in hosts(5): names of
// RFC 1123 section 2.1, with '_' besides, which service names have.
func validateDomain(field, domain string) error {
	name := strings.TrimSuffix(domain, ".")
	if len(name) > MaxDomainLength {
		return fmt.Errorf("%s %q: is %d bytes long, want at most %d", field, domain, len(name), MaxDomainLength)
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > maxLabelLength || !isWord(label, lower+upper+digits+"_", lower+upper+digits+"_-") {
			return fmt.Errorf("%s %q: want parts of 1 to %d of a-z, 0-9, '-', '_' with dots between", field, domain, maxLabelLength)
		}
	}
	return nil
}
