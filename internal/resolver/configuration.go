package resolver

import (
	"net/netip"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// Configuration is what a container's name resolution is made of.
type Configuration struct {
	User        resource.DNSConfiguration // what the container's user asked for
	Attachments []resource.Attachment     // in their order
	HostFile    string                    // the host's resolv.conf(5)
}

// Named returns the name servers that the user names, else those that the
// networks do. They are meant as seen from inside of the container.
func (c Configuration) Named() []netip.Addr {
	if len(c.User.Servers) > 0 {
		return c.User.Servers
	}
	return c.networks().Servers
}

// Upstream returns who answers for names of the world; nil: nobody. Servers that
// the user or a network names are asked from inside of the container, and so
// only what its networks let through; those of the host's file, as it is at
// each query, from the host's side, where a server on loopback is the host's.
func (c Configuration) Upstream(inside, host Dial) Upstream {
	if named := c.Named(); len(named) > 0 {
		return Servers{List: func() []netip.Addr { return named }, Dial: inside}
	}
	if !c.ReachesOutside() {
		return nil
	}
	return Servers{List: func() []netip.Addr { return hostServers(c.HostFile) }, Dial: host}
}

// networks is what the networks say, in their order.
func (c Configuration) networks() resource.DNSConfiguration {
	var out resource.DNSConfiguration
	for _, a := range c.Attachments {
		out.Servers = appendNew(out.Servers, a.DNS.Servers)
		out.Search = appendNew(out.Search, a.DNS.Search)
		out.Options = appendNew(out.Options, a.DNS.Options)
	}
	return out
}

// ReachesOutside tells whether the container is on a network that leads out: one
// with a gateway, or one without any address, of which only the plugin knows.
// Without, a query that the host sends on its behalf would be a way out that the
// network does not give.
func (c Configuration) ReachesOutside() bool {
	return slices.ContainsFunc(c.Attachments, func(a resource.Attachment) bool {
		return a.IPv4Gateway.IsValid() || a.IPv6Gateway.IsValid() || !a.IPv4Address.IsValid() && !a.IPv6Address.IsValid()
	})
}

// Client returns what the container's resolv.conf says when the resolver answers
// there: the user's search domains ("." alone: none), else those of the
// networks, then the host's.
func (c Configuration) Client() resource.DNSConfiguration {
	networks, host := c.networks(), resource.DNSConfiguration{}
	if c.ReachesOutside() {
		host = ReadHost(c.HostFile)
	}
	out := resource.DNSConfiguration{Servers: []netip.Addr{resource.ResolverAddress}, Search: c.User.Search}
	if len(out.Search) == 0 {
		out.Search = appendNew(networks.Search, host.Search)
	}
	out.Search = slices.DeleteFunc(slices.Clone(out.Search), func(domain string) bool { return domain == "." })
	// The host's ndots is for the host's names.
	host.Options = slices.DeleteFunc(host.Options, isNdots)
	out.Options = withoutDoubles(slices.Concat(c.User.Options, networks.Options, host.Options))
	if len(out.Search) > 0 && !slices.ContainsFunc(out.Options, isNdots) {
		// A container's name is asked for as it is before a search domain is put
		// behind it, and so never of a name server.
		out.Options = append(out.Options, "ndots:0")
	}
	return out
}

func isNdots(option string) bool { return optionName(option) == "ndots" }

func optionName(option string) string {
	name, _, _ := strings.Cut(option, ":")
	return name
}

// withoutDoubles keeps the first option of each name.
func withoutDoubles(options []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(options, func(o string) bool {
		double := seen[optionName(o)]
		seen[optionName(o)] = true
		return double
	})
}

// Direct returns what the container's resolv.conf says where there is no
// resolver: the servers that it asks itself. Those of the host count if a
// container can reach them.
func (c Configuration) Direct() resource.DNSConfiguration {
	out := c.Client()
	out.Options = slices.DeleteFunc(out.Options, func(o string) bool { return o == "ndots:0" })
	out.Servers = c.Named()
	if len(out.Servers) > 0 || !c.ReachesOutside() {
		return out
	}
	for _, path := range []string{c.HostFile, stubFile} {
		out.Servers = slices.DeleteFunc(ReadHost(path).Servers, unreachable)
		if len(out.Servers) > 0 {
			break
		}
	}
	return out
}

// unreachable are addresses that mean the container itself, inside of it, or an
// interface that only the host has.
func unreachable(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.Zone() != ""
}
