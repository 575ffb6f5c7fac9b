package networkfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// fill takes in the values of a JSON object.
func (e *entry) fill(values map[string]json.RawMessage) error {
	fields := map[string]any{
		"name": &e.Name, "plugin": &e.Plugin, "plugin-variant": &e.Variant, "subnet": &e.Subnet, "subnet-v6": &e.SubnetV6,
		"ipv4": &e.IPv4, "ipv6": &e.IPv6, "mtu": &e.MTU, "reserve": &e.Reserve, "route": &e.Route,
		"dns": &e.DNS, "dns-search": &e.DNSSearch, "dns-option": &e.DNSOption, "option": &e.Option, "label": &e.Label,
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, known := fields[key]
		if !known {
			faults = append(faults, fmt.Errorf("unknown key %q, want one of %s", key, strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
			continue
		}
		if err := json.Unmarshal(values[key], field); err != nil {
			faults = append(faults, fmt.Errorf("%s: want %s", key, wanted(field)))
		}
	}
	return errors.Join(faults...)
}

func wanted(field any) string {
	switch field.(type) {
	case *string:
		return "a string"
	case **bool:
		return "true or false"
	case *int:
		return "a number"
	case *[]string:
		return "a list of strings"
	}
	return "an object of strings"
}

// entryOf is the reverse of entry.network.
func entryOf(n Network) entry {
	c := n.Configuration
	e := entry{
		Name: n.Name, Plugin: c.Plugin.Plugin, Variant: c.Plugin.Variant, MTU: c.MTU,
		Reserve: texts(c.ReservedRanges), DNS: texts(c.DNS.Servers), DNSSearch: c.DNS.Search, DNSOption: c.DNS.Options,
		Option: c.Options, Label: n.Labels,
	}
	if c.IPv4Subnet.IsValid() {
		e.Subnet = c.IPv4Subnet.String()
	}
	if c.IPv6Subnet.IsValid() {
		e.SubnetV6 = c.IPv6Subnet.String()
	}
	off := false
	if c.IPv4Disabled {
		e.IPv4 = &off
	}
	if c.IPv6Disabled {
		e.IPv6 = &off
	}
	for _, r := range c.Routes {
		e.Route = append(e.Route, routeText(r))
	}
	return e
}

func routeText(r resource.Route) string {
	if r.Gateway.IsValid() {
		return r.Destination.String() + "=" + r.Gateway.String()
	}
	return r.Destination.String()
}

func texts[T fmt.Stringer](all []T) []string {
	var out []string
	for _, v := range all {
		out = append(out, v.String())
	}
	return out
}
