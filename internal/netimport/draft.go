package netimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// The plugins that networks are given to.
const (
	bridge     = "bridge"
	macvlan    = "macvlan"
	hostDevice = "host-device"
)

// object is what a file says, of which each key is taken once: what is left at
// the end is not known here.
type object struct {
	values map[string]json.RawMessage
}

// take decodes the value of a key; a missing one or null leaves into as it is.
func (o *object) take(key string, into any) error {
	raw, ok := o.values[key]
	delete(o.values, key)
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: is not of the form that is known", key)
	}
	return nil
}

// rest returns the keys that nobody took and that say something.
func (o *object) rest() []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(o.values)) {
		switch strings.TrimSpace(string(o.values[key])) {
		case "null", "false", `""`, "0", "{}", "[]":
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

// draft is a network that is being carried over.
type draft struct {
	object
	network Network
	skipped bool // it is not to be created
	notes   []string
	faults  []error

	has4, has6 bool // it has a subnet of the family
}

func (d *draft) get(key string, into any) { d.fault(d.take(key, into)) }

func (d *draft) fault(err error) {
	if err != nil {
		d.faults = append(d.faults, err)
	}
}

// refuse says why a network without what would be another one.
func (d *draft) refuse(what, why string, args ...any) {
	d.faults = append(d.faults, fmt.Errorf("%s: cannot be carried over: "+why, append([]any{what}, args...)...))
}

// note says what is left out and that the network is the same without it.
func (d *draft) note(what, why string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf("%s: not carried over: "+why, append([]any{what}, args...)...))
}

// skip leaves the whole network out.
func (d *draft) skip(why string) {
	d.skipped = true
	d.notes = append(d.notes, "not created: "+why)
}

// finish checks the network and says of which network each line is.
func (d *draft) finish(i int) (Network, error) {
	before := "network " + oneLine(d.network.Name) + ": "
	if d.network.Name == "" {
		before = fmt.Sprintf("network number %d: ", i+1)
	}
	if !d.skipped {
		for _, key := range d.rest() {
			d.note(oneLine(key), "what it means is not known here")
		}
		c := &d.network.Configuration
		if c.Plugin.Plugin == "" {
			c.Plugin.Plugin = bridge // the network is refused; this is for its other faults
		}
		d.fault(resource.ValidateName("network", d.network.Name))
		d.fault(resource.ValidateLabels(d.network.Labels))
		d.fault(c.Validate())
	}
	for n, note := range d.notes {
		d.notes[n] = before + oneLine(note)
	}
	err := errors.Join(d.faults...)
	if err == nil || d.skipped {
		return d.network, nil
	}
	return Network{}, errors.New(before + strings.ReplaceAll(err.Error(), "\n", "\n"+before))
}

// subnet takes in one subnet of a network: its text, the gateway, and the part
// of it that addresses are given out of, if not of all of it.
func (d *draft) subnet(text, gateway string, pool resource.AddressRange) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		d.fault(fmt.Errorf("subnet %q: want a prefix like 10.0.0.0/24", text))
		return
	}
	p = p.Masked()
	c := &d.network.Configuration
	has, target, option := &d.has4, &c.IPv4Subnet, "gateway"
	if p.Addr().Is6() {
		has, target, option = &d.has6, &c.IPv6Subnet, "gateway-v6"
	}
	if *has {
		d.refuse("subnet "+p.String(), "a network has one subnet of an address family, this one has %v too", *target)
		return
	}
	*has, *target = true, p
	d.gateway(p, gateway, option)
	d.reserveOutside(p, pool)
}

func (d *draft) gateway(p netip.Prefix, text, option string) {
	if text == "" {
		return
	}
	text, _, _ = strings.Cut(text, "/") // some write it with the length of its subnet
	a, err := netip.ParseAddr(text)
	if err != nil || !p.Contains(a) {
		d.fault(fmt.Errorf("gateway %q: want an address in %v", text, p))
		return
	}
	if d.network.Configuration.Plugin.Plugin != bridge {
		d.option(option, a.String())
		return
	}
	if first := p.Addr().Next(); a != first && p.Addr().BitLen()-p.Bits() > 1 {
		d.note("gateway "+text, "on a bridge it is the first address, %v", first)
	}
}

func (d *draft) option(key, value string) {
	c := &d.network.Configuration
	if c.Options == nil {
		c.Options = map[string]string{}
	}
	c.Options[key] = value
}

// reserveOutside reserves all of a subnet but the pool; a zero pool is all.
func (d *draft) reserveOutside(p netip.Prefix, pool resource.AddressRange) {
	whole, err := resource.ParseAddressRange(p.String())
	if err != nil {
		d.fault(err)
		return
	}
	if !pool.First.IsValid() {
		pool.First = whole.First
	}
	if !pool.Last.IsValid() {
		pool.Last = whole.Last
	}
	if !p.Contains(pool.First) || !p.Contains(pool.Last) || pool.Last.Less(pool.First) {
		d.fault(fmt.Errorf("range %v-%v: want addresses of %v, the lower one first", pool.First, pool.Last, p))
		return
	}
	c := &d.network.Configuration
	if whole.First.Less(pool.First) {
		c.ReservedRanges = append(c.ReservedRanges, resource.AddressRange{First: whole.First, Last: pool.First.Prev()})
	}
	if pool.Last.Less(whole.Last) {
		c.ReservedRanges = append(c.ReservedRanges, resource.AddressRange{First: pool.Last.Next(), Last: whole.Last})
	}
}

// span reads the ends of a range, each of which may be missing.
func (d *draft) span(first, last string) resource.AddressRange {
	var r resource.AddressRange
	for _, end := range []struct {
		text string
		into *netip.Addr
	}{{first, &r.First}, {last, &r.Last}} {
		if end.text == "" {
			continue
		}
		a, err := netip.ParseAddr(end.text)
		if err != nil {
			d.fault(fmt.Errorf("range: %q: want an address", end.text))
		}
		*end.into = a
	}
	return r
}

// families turns off those that have no subnet.
func (d *draft) families() {
	c := &d.network.Configuration
	c.IPv4Disabled, c.IPv6Disabled = !d.has4, !d.has6
	if !d.has4 && !d.has6 {
		d.refuse("addresses", "the network has no subnet, and Patchbay would give it some")
	}
}

// macvlanMode takes the words of the kernel.
func (d *draft) macvlanMode(mode string) {
	switch mode {
	case "", "bridge", "private":
		d.network.Configuration.Plugin.Variant = mode
	default:
		d.refuse("macvlan mode "+mode, "want bridge or private")
	}
}

// route takes in one route; that which leads everywhere comes with the gateway.
func (d *draft) route(destination, gateway string) {
	p, err := netip.ParsePrefix(destination)
	if err != nil {
		d.fault(fmt.Errorf("route %q: want a prefix", destination))
		return
	}
	r := resource.Route{Destination: p}
	if gateway != "" {
		if r.Gateway, err = netip.ParseAddr(gateway); err != nil {
			d.fault(fmt.Errorf("route %q: gateway %q: want an address", destination, gateway))
			return
		}
	}
	if p.Bits() == 0 {
		if r.Gateway.IsValid() {
			d.note("route "+destination+" by "+gateway, "the default route is by the gateway of the network")
		}
		return
	}
	d.network.Configuration.Routes = append(d.network.Configuration.Routes, r)
}

func (d *draft) nameServers(all []string) {
	for _, s := range all {
		a, err := netip.ParseAddr(s)
		if err != nil {
			d.fault(fmt.Errorf("name server %q: want an address", s))
			continue
		}
		c := &d.network.Configuration
		c.DNS.Servers = append(c.DNS.Servers, a)
	}
}
