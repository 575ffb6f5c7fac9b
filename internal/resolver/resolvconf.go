package resolver

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// HostFile is where the host names its name servers.
const HostFile = "/etc/resolv.conf"

// stubFile has the servers behind systemd-resolved's stub on a loopback address,
// which the host's file names where that runs (systemd-resolved.service(8)).
const stubFile = "/run/systemd/resolve/resolv.conf"

// ReadHost returns what a host's resolv.conf says; nothing where there is none.
// It is read for each use: that takes microseconds, sees a file that was
// replaced, linked elsewhere or mounted over at once, and needs none of the
// kernel's few watches (inotify(7)).
func ReadHost(path string) resource.DNSConfiguration {
	data, err := os.ReadFile(path)
	if err != nil {
		return resource.DNSConfiguration{}
	}
	return parseResolvConf(string(data))
}

// hostServers returns the servers of a host's file, but those behind
// systemd-resolved's stub where that runs: the stub answers names of the host's
// own, such as those in its /etc/hosts, too.
func hostServers(path string) []netip.Addr {
	servers := ReadHost(path).Servers
	if slices.ContainsFunc(servers, func(a netip.Addr) bool { return !a.IsLoopback() }) {
		return servers
	}
	if behind := ReadHost(stubFile).Servers; len(behind) > 0 {
		return behind
	}
	return servers
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

func appendNew[T comparable](to, more []T) []T {
	for _, v := range more {
		if !slices.Contains(to, v) {
			to = append(to, v)
		}
	}
	return to
}
