// Package hostdns says which name servers a container asks.
package hostdns

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// Files are the files that may tell the host's name servers, the
// first that names one which a container can reach counts. The second is
// written by systemd-resolved: it has the servers behind the local stub that the
// first one names then.
var Files = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// ForContainer is what a container's resolv.conf says: what its networks say, in
// their order, else what the host's says. A container without networks reaches
// no server and has none.
func ForContainer(attachments []resource.AllocatedAttachment, hostFiles []string) resource.DNSConfiguration {
	if len(attachments) == 0 {
		return resource.DNSConfiguration{}
	}
	var out resource.DNSConfiguration
	for _, a := range attachments {
		d := a.Attachment.DNS
		out.Servers = appendNew(out.Servers, d.Servers)
		out.Search = appendNew(out.Search, d.Search)
		out.Options = appendNew(out.Options, d.Options)
	}
	if len(out.Servers) > 0 {
		return out
	}
	for _, path := range hostFiles {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		host := parseResolvConf(string(data))
		host.Servers = slices.DeleteFunc(host.Servers, unreachable)
		if len(host.Servers) > 0 {
			host.Search = appendNew(out.Search, host.Search)
			host.Options = appendNew(out.Options, host.Options)
			return host
		}
	}
	return out
}

// unreachable are addresses that mean the container itself, inside of it, or an
// interface that only the host has.
func unreachable(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.Zone() != ""
}

func appendNew[T comparable](to, more []T) []T {
	for _, v := range more {
		if !slices.Contains(to, v) {
			to = append(to, v)
		}
	}
	return to
}

// parseResolvConf reads what resolv.conf(5) defines: the last search or domain
// line counts. Lines that make no sense are left out, as the C library does.
func parseResolvConf(text string) resource.DNSConfiguration {
	var out resource.DNSConfiguration
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil {
				out.Servers = appendNew(out.Servers, []netip.Addr{a})
			}
		case "search":
			out.Search = slices.DeleteFunc(fields[1:], func(domain string) bool { return domain == "." })
		case "domain":
			out.Search = fields[1:2]
		case "options":
			out.Options = appendNew(out.Options, fields[1:])
		}
	}
	return out
}
