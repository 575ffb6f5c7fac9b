package netimport

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"patchbay.dev/patchbay/resource"
)

// docker takes in one element of "docker network inspect" (NetworkInspect of the
// Docker Engine API).
func (d *draft) docker() {
	var driver, scope string
	var internal, attachable, ingress, configOnly bool
	var options map[string]string
	var from struct{ Network string }
	var containers map[string]json.RawMessage
	d.get("Name", &d.network.Name)
	d.get("Driver", &driver)
	d.get("Scope", &scope)
	d.get("Internal", &internal)
	d.get("Attachable", &attachable)
	d.get("Ingress", &ingress)
	d.get("ConfigOnly", &configOnly)
	d.get("ConfigFrom", &from)
	d.get("Options", &options)
	d.get("Labels", &d.network.Labels)
	d.get("Containers", &containers)
	for _, key := range []string{"Id", "Created", "Status"} { // of the one that is there, not of what was asked for
		delete(d.values, key)
	}
	switch {
	case driver == "host" || driver == "null" || options["com.docker.network.bridge.default_bridge"] == "true":
		d.skip("it is built into docker; Patchbay has a network \"default\" of its own")
		return
	case scope != "" && scope != "local" || ingress:
		d.refuse("scope "+scope, "it spans several hosts")
	case configOnly || from.Network != "":
		d.refuse("ConfigOnly and ConfigFrom", "inspect a network with a configuration of its own")
	}
	if attachable {
		d.note("Attachable", "containers can be plugged into any network")
	}
	if len(containers) > 0 {
		d.note("its containers", "a network is created without any")
	}
	c := &d.network.Configuration
	switch driver {
	case "bridge":
		c.Plugin = resource.PluginInfo{Plugin: bridge, Variant: "nat"}
		if internal {
			c.Plugin.Variant = "internal"
		}
		d.dockerBridgeOptions(options)
	case "macvlan":
		c.Plugin.Plugin = macvlan
		if internal {
			d.refuse("Internal", "a macvlan network is on the LAN of its parent")
		}
		d.dockerMacvlanOptions(options)
	default:
		d.refuse("driver "+driver, "want bridge or macvlan")
	}
	d.dockerAddresses()
}

func (d *draft) dockerAddresses() {
	ipv4, ipv6 := true, false
	var ipam struct {
		Driver  string
		Options map[string]string
		Config  []struct {
			Subnet, IPRange, Gateway string
			AuxiliaryAddresses       map[string]string
		}
	}
	d.get("EnableIPv4", &ipv4)
	d.get("EnableIPv6", &ipv6)
	d.get("IPAM", &ipam)
	if ipam.Driver != "" && ipam.Driver != "default" {
		d.refuse("ipam driver "+ipam.Driver, "want the default one")
	}
	for _, key := range slices.Sorted(maps.Keys(ipam.Options)) {
		d.note("ipam option "+key, "its meaning is the driver's")
	}
	for _, s := range ipam.Config {
		var pool resource.AddressRange
		if s.IPRange != "" {
			p, err := netip.ParsePrefix(s.IPRange)
			if err == nil {
				pool, err = resource.ParseAddressRange(p.Masked().String())
			}
			if err != nil {
				d.fault(fmt.Errorf("IPRange %q: want a prefix", s.IPRange))
			}
		}
		d.subnet(s.Subnet, s.Gateway, pool)
		for _, name := range slices.Sorted(maps.Keys(s.AuxiliaryAddresses)) {
			r, err := resource.ParseAddressRange(s.AuxiliaryAddresses[name])
			d.fault(err)
			if err == nil {
				d.network.Configuration.ReservedRanges = append(d.network.Configuration.ReservedRanges, r)
			}
		}
	}
	c := &d.network.Configuration
	c.IPv4Disabled, c.IPv6Disabled = !ipv4 && !d.has4, !ipv6 && !d.has6
}

// dockerBridgeOptions knows the options of docker's bridge driver and of all its
// drivers.
func (d *draft) dockerBridgeOptions(options map[string]string) {
	const always = "com.docker.network."
	for _, key := range slices.Sorted(maps.Keys(options)) {
		value := options[key]
		what := fmt.Sprintf("option %s=%s", key, value)
		switch key {
		case always + "driver.mtu":
			d.mtu(what, value)
		case always + "bridge.name":
			d.note(what, "the bridge is named after the network's id")
		case always + "container_iface_prefix":
			d.note(what, "interfaces are eth0 and on, or named by --network %s,ifname=", d.network.Name)
		case always + "bridge.host_binding_ipv4":
			d.note(what, "say it where ports are published, with -p %s:...", value)
		case always + "bridge.enable_icc", always + "bridge.enable_ip_masquerade":
			if value != "true" {
				d.refuse(what, "containers of a network reach one another, and the world by the host's address")
			}
		case always + "bridge.gateway_mode_ipv4", always + "bridge.gateway_mode_ipv6":
			if value != "nat" && value != "" {
				d.refuse(what, "want nat")
			}
		case always + "enable_ipv4", always + "enable_ipv6", always + "bridge.default_bridge":
			// It is told by keys of the network too, or false.
		default:
			d.refuse(what, "the bridge plugin has nothing like it")
		}
	}
}

func (d *draft) mtu(what, value string) {
	mtu, err := strconv.Atoi(value)
	if err != nil {
		d.fault(fmt.Errorf("%s: want a number", what))
	}
	d.network.Configuration.MTU = mtu
}

func (d *draft) dockerMacvlanOptions(options map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		value := options[key]
		what := fmt.Sprintf("option %s=%s", key, value)
		switch key {
		case "parent":
			d.option("parent", value)
		case "macvlan_mode":
			d.macvlanMode(value)
		case "com.docker.network.driver.mtu":
			d.mtu(what, value)
		case "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6":
		default:
			d.refuse(what, "the macvlan plugin has nothing like it")
		}
	}
	if options["parent"] == "" {
		d.refuse("option parent", "docker made an interface of its own for it; create the network with --option parent=")
	}
}
