package parse

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// NameServers parses the values of a repeated flag with an address each.
func NameServers(values []string) ([]netip.Addr, error) {
	var out []netip.Addr
	var errs []error
	for _, v := range values {
		a, err := netip.ParseAddr(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("dns %q: want the ip address of a name server, like 192.0.2.53", v))
			continue
		}
		out = append(out, a)
	}
	return out, errors.Join(errs...)
}

// ExtraHosts parses the values of a repeated flag NAME:ADDRESS, also
// NAME=ADDRESS, with an IPv6 address in brackets or without.
func ExtraHosts(values []string) ([]resource.ExtraHost, error) {
	var out []resource.ExtraHost
	var errs []error
	for _, v := range values {
		h, err := extraHost(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, h)
	}
	return out, errors.Join(errs...)
}

func extraHost(s string) (resource.ExtraHost, error) {
	at := strings.IndexAny(s, ":=")
	if at <= 0 {
		return resource.ExtraHost{}, errExtraHost(s)
	}
	h, address := resource.ExtraHost{Name: s[:at]}, s[at+1:]
	if address == resource.HostGateway {
		return h, nil
	}
	if inner, ok := strings.CutPrefix(address, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return resource.ExtraHost{}, errExtraHost(s)
		}
		address = inner
	}
	var err error
	if h.Address, err = netip.ParseAddr(address); err != nil {
		return resource.ExtraHost{}, errExtraHost(s)
	}
	return h, nil
}

func errExtraHost(s string) error {
	return fmt.Errorf("add-host %q: want NAME:ADDRESS, like db:192.0.2.7, or NAME:%s", s, resource.HostGateway)
}
