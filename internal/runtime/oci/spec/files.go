package spec

import (
	"fmt"
	"strings"

	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/resource"
)

// Files are the files that a container sees below /etc in place of the image's, by
// their paths there.
func Files(c sandbox.Configuration) map[string][]byte {
	return map[string][]byte{
		"/etc/hosts":       Hosts(c),
		"/etc/hostname":    []byte(c.Hostname + "\n"),
		"/etc/resolv.conf": ResolvConf(c.DNS),
	}
}

// Hosts returns the content of /etc/hosts: localhost, the container's own names
// on each of its addresses, then the extra entries. A container without an
// address has its names on a loopback one (as hosts(5) of Debian).
func Hosts(c sandbox.Configuration) []byte {
	var b strings.Builder
	line := func(address string, names ...string) { fmt.Fprintf(&b, "%s\t%s\n", address, strings.Join(names, " ")) }
	line("127.0.0.1", "localhost")
	line("::1", "localhost", "ip6-localhost", "ip6-loopback")
	line("fe00::", "ip6-localnet")
	line("ff00::", "ip6-mcastprefix")
	line("ff02::1", "ip6-allnodes")
	line("ff02::2", "ip6-allrouters")
	addressed := false
	for _, a := range c.Attachments {
		names := ownNames(c, a)
		if a.IPv4Address.IsValid() {
			line(a.IPv4Address.Addr().String(), names...)
			addressed = true
		}
		if a.IPv6Address.IsValid() {
			line(a.IPv6Address.Addr().String(), names...)
			addressed = true
		}
	}
	if !addressed {
		line("127.0.1.1", ownNames(c, resource.Attachment{})...)
	}
	for _, h := range c.ExtraHosts {
		line(h.Address.String(), h.Names...)
	}
	return []byte(b.String())
}

// ownNames are the hostname and the container's name, each once. Under a host
// name with dots its first part is a name too.
func ownNames(c sandbox.Configuration, a resource.Attachment) []string {
	var names []string
	short, _, _ := strings.Cut(c.Hostname, ".")
	for _, name := range []string{c.Hostname, short, a.Hostname, c.Name} {
		known := name == ""
		for _, n := range names {
			known = known || strings.EqualFold(n, name)
		}
		if !known {
			names = append(names, name)
		}
	}
	return names
}

// ResolvConf returns the content of /etc/resolv.conf (resolv.conf(5)). Without
// any name server it has a comment only; the C library would then ask
// 127.0.0.1, where nothing answers, and fails at once.
func ResolvConf(d resource.DNSConfiguration) []byte {
	var b strings.Builder
	if len(d.Servers) == 0 {
		b.WriteString("# This container's networks have no name server.\n")
	}
	for _, server := range d.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(d.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(d.Search, " "))
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(d.Options, " "))
	}
	return []byte(b.String())
}
