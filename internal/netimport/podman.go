package netimport

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"patchbay.dev/patchbay/resource"
)

// podman takes in one network of podman (types.Network of containers/common), as
// "podman network inspect" prints it and netavark stores it.
func (d *draft) podman() {
	var driver, device string
	var internal, names bool
	var options, ipam map[string]string
	var servers []string
	var containers map[string]json.RawMessage
	d.get("name", &d.network.Name)
	d.get("driver", &driver)
	d.get("network_interface", &device)
	d.get("internal", &internal)
	d.get("dns_enabled", &names)
	d.get("network_dns_servers", &servers)
	d.get("labels", &d.network.Labels)
	d.get("options", &options)
	d.get("ipam_options", &ipam)
	d.get("containers", &containers)
	for _, key := range []string{"id", "created", "ipv6_enabled"} { // the last is told by the subnets
		delete(d.values, key)
	}
	c := &d.network.Configuration
	switch driver {
	case "bridge":
		c.Plugin = resource.PluginInfo{Plugin: bridge, Variant: "nat"}
		if internal {
			c.Plugin.Variant = "internal"
		}
		if device != "" {
			d.note("network_interface "+device, "the bridge is named after the network's id")
		}
	case "macvlan":
		c.Plugin.Plugin = macvlan
		if internal {
			d.refuse("internal", "a macvlan network is on the LAN of its parent")
		}
		if device != "" {
			d.option("parent", device)
		}
	default:
		d.refuse("driver "+driver, "want bridge or macvlan")
	}
	if !names {
		d.note("dns_enabled=false", "containers find one another by name on each network")
	}
	if len(containers) > 0 {
		d.note("its containers", "a network is created without any")
	}
	if with := ipam["driver"]; with != "" && with != "host-local" {
		d.refuse("ipam driver "+with, "want host-local")
	}
	delete(ipam, "driver")
	for _, key := range slices.Sorted(maps.Keys(ipam)) {
		d.note("ipam option "+key, "its meaning is the driver's")
	}
	d.nameServers(servers)
	d.podmanOptions(options, driver)
	d.podmanAddresses()
}

func (d *draft) podmanAddresses() {
	var subnets []struct {
		Subnet, Gateway string
		LeaseRange      struct {
			StartIP string `json:"start_ip"`
			EndIP   string `json:"end_ip"`
		} `json:"lease_range"`
	}
	var routes []struct {
		Destination, Gateway string
		Metric               *uint32
	}
	d.get("subnets", &subnets)
	d.get("routes", &routes)
	for _, s := range subnets {
		d.subnet(s.Subnet, s.Gateway, d.span(s.LeaseRange.StartIP, s.LeaseRange.EndIP))
	}
	d.families()
	for _, r := range routes {
		d.route(r.Destination, r.Gateway)
		if r.Metric != nil {
			d.note(fmt.Sprintf("metric %d of route %s", *r.Metric, r.Destination), "routes have no metric; networks have a gateway priority")
		}
	}
}

func (d *draft) podmanOptions(options map[string]string, driver string) {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		value := options[key]
		what := fmt.Sprintf("option %s=%s", key, value)
		switch {
		case key == "mtu":
			d.mtu(what, value)
		case key == "isolate":
			if value == "false" {
				d.note(what, "networks are isolated from one another always")
			}
		case key == "metric":
			d.note(what, "say it where the network is used, with --network %s,gateway-priority=", d.network.Name)
		case key == "parent" && driver == "macvlan":
			d.option("parent", value)
		case key == "mode" && driver == "macvlan":
			d.macvlanMode(value)
		case key == "no_default_route" && value == "false":
		default:
			d.refuse(what, "the plugin has nothing like it")
		}
	}
}
