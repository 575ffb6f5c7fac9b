package netimport

import (
	"encoding/json"
	"fmt"

	"patchbay.dev/patchbay/resource"
)

// cni takes in a network configuration list, or a single configuration, of the
// CNI specification. The first plugin makes the interface, the others are chained
// to it.
func (d *draft) cni() {
	var plugins []map[string]json.RawMessage
	d.get("name", &d.network.Name)
	_, list := d.values["plugins"]
	d.get("plugins", &plugins)
	for _, key := range []string{"cniVersion", "cniVersions", "disableCheck", "disableGC"} { // of the protocol, not of the network
		delete(d.values, key)
	}
	if !list {
		plugins = append(plugins, d.values)
		d.values = nil
	}
	if len(plugins) == 0 {
		d.refuse("plugins", "there are none")
		return
	}
	of := d.values
	for i, values := range plugins {
		d.values = values
		var kind string
		d.get("type", &kind)
		for _, key := range []string{"cniVersion", "name", "capabilities", "prevResult"} {
			delete(d.values, key)
		}
		if i == 0 {
			d.cniInterface(kind)
		} else {
			d.cniChained(kind)
		}
		for _, key := range d.rest() {
			d.note(fmt.Sprintf("%s of plugin %s", oneLine(key), oneLine(kind)), "what it means is not known here")
		}
	}
	d.values = of
}

func (d *draft) cniInterface(kind string) {
	c := &d.network.Configuration
	switch kind {
	case "bridge":
		c.Plugin.Plugin = bridge
		d.cniBridge()
		d.cniAddresses(true)
	case "macvlan":
		var parent, mode string
		c.Plugin.Plugin = macvlan
		d.get("master", &parent)
		d.get("mode", &mode)
		if parent != "" {
			d.option("parent", parent)
		}
		d.macvlanMode(mode)
		d.cniAddresses(true)
	case "host-device":
		var device string
		c.Plugin.Plugin = hostDevice
		d.get("device", &device)
		if device == "" {
			d.refuse("host-device", "want it by the name of its interface, in \"device\"")
		}
		d.option("device", device)
		d.cniAddresses(false)
	default:
		d.refuse("plugin "+kind, "want bridge, macvlan or host-device")
	}
	d.get("mtu", &c.MTU)
	var dns struct {
		Nameservers, Search, Options []string
		Domain                       string
	}
	d.get("dns", &dns)
	d.nameServers(dns.Nameservers)
	if dns.Domain != "" {
		c.DNS.Search = append(c.DNS.Search, dns.Domain)
	}
	c.DNS.Search, c.DNS.Options = append(c.DNS.Search, dns.Search...), dns.Options
}

// cniBridge tells by who the gateway is and whether addresses are translated which
// variant comes near.
func (d *draft) cniBridge() {
	var name string
	var gateway, defaultGateway, masquerade bool
	var vlan int
	d.get("bridge", &name)
	d.get("isGateway", &gateway)
	d.get("isDefaultGateway", &defaultGateway)
	d.get("ipMasq", &masquerade)
	d.get("vlan", &vlan)
	for _, key := range []string{"macspoofchk", "hairpinMode", "forceAddress", "ipMasqBackend"} { // always so, or of no effect here
		delete(d.values, key)
	}
	if name != "" {
		d.note("bridge "+name, "the bridge is named after the network's id")
	}
	if vlan != 0 {
		d.refuse(fmt.Sprintf("vlan %d", vlan), "the bridge plugin has none")
	}
	c := &d.network.Configuration
	switch {
	case masquerade:
		c.Plugin.Variant = "nat"
	case gateway || defaultGateway:
		d.refuse("isGateway without ipMasq", "the bridge plugin reaches the world by the host's address, or not at all")
	default:
		c.Plugin.Variant = "internal"
	}
}

func (d *draft) cniAddresses(must bool) {
	type ipRange struct {
		Subnet, RangeStart, RangeEnd, Gateway string
	}
	var raw map[string]json.RawMessage
	d.get("ipam", &raw)
	ipam := object{values: raw}
	var kind string
	var one ipRange
	var sets [][]ipRange
	var routes []struct{ Dst, GW string }
	for key, into := range map[string]any{
		"type": &kind, "ranges": &sets, "routes": &routes,
		"subnet": &one.Subnet, "rangeStart": &one.RangeStart, "rangeEnd": &one.RangeEnd, "gateway": &one.Gateway,
	} {
		d.fault(ipam.take(key, into))
	}
	switch {
	case kind == "" && !must && len(raw) == 0:
		return
	case kind != "host-local":
		d.refuse(fmt.Sprintf("ipam type %q", kind), "want host-local")
		return
	}
	if one.Subnet != "" {
		sets = append(sets, []ipRange{one})
	}
	for _, set := range sets {
		for _, r := range set {
			d.subnet(r.Subnet, r.Gateway, d.span(r.RangeStart, r.RangeEnd))
		}
	}
	d.families()
	for _, r := range routes {
		d.route(r.Dst, r.GW)
	}
	for _, key := range ipam.rest() {
		d.note("ipam "+oneLine(key), "addresses are kept by Patchbay")
	}
}

// cniChained knows the plugins that are chained to others; what some of them do is
// always done here.
func (d *draft) cniChained(kind string) {
	say := map[string]string{
		"portmap":   "ports are published by -p, of a container",
		"firewall":  "each network has a packet filter",
		"sbr":       "replies leave by the interface that was asked",
		"loopback":  "each container has one",
		"dnsname":   "containers find one another by name on each network",
		"bandwidth": "say it where the network is used, with --network " + d.network.Name + ",rate-in=,rate-out=",
		"tuning":    "say it where the network is used, with --network " + d.network.Name + ",sysctl=",
	}
	why, known := say[kind]
	if !known {
		d.refuse("plugin "+kind, "it is not known what it does to an interface")
		return
	}
	d.note("plugin "+kind, why)
	d.values = nil
}

// apple takes in an entity.json of apple/container. Its generations: id, mode, subnet
// and labels; then creationDate, ipv4Subnet and ipv6Subnet; then pluginInfo.
func (d *draft) apple() {
	var mode, subnet, ipv4, ipv6 string
	var plugin resource.PluginInfo
	d.get("id", &d.network.Name)
	d.get("mode", &mode)
	d.get("subnet", &subnet)
	d.get("ipv4Subnet", &ipv4)
	d.get("ipv6Subnet", &ipv6)
	d.get("labels", &d.network.Labels)
	d.get("pluginInfo", &plugin)
	delete(d.values, "creationDate")
	if d.network.Labels["com.apple.container.resource.role"] == "builtin" || d.network.Name == resource.DefaultNetworkName {
		d.skip("it is built into container; Patchbay has a network \"default\" of its own")
		return
	}
	c := &d.network.Configuration
	c.Plugin.Plugin = bridge
	switch mode {
	case "nat":
		c.Plugin.Variant = "nat"
	case "hostOnly":
		c.Plugin.Variant = "internal"
	default:
		d.refuse("mode "+mode, "want nat or hostOnly")
	}
	switch plugin.Plugin {
	case "":
	case "container-network-vmnet":
		d.note("plugin "+plugin.String(), "the bridge plugin does what it did")
	default:
		d.refuse("plugin "+plugin.String(), "want container-network-vmnet")
	}
	if ipv4 == "" {
		ipv4 = subnet
	}
	for _, s := range []string{ipv4, ipv6} {
		if s != "" {
			d.subnet(s, "", resource.AddressRange{})
		}
	}
}
