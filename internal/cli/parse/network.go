package parse

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// NoNetwork is the value of --network that means "loopback only".
const NoNetwork = "none"

// dockerKeys are Docker's words for keys of ours.
var dockerKeys = map[string]string{"gw-priority": "gateway-priority", "mac-address": "mac"}

const networkKeys = "mac, mtu, ip, ip6, ifname, hostname, alias, gateway-priority, sysctl, rate-in, rate-out"

// Networks parses the values of a repeated --network. The second result is
// true for the value "none", which goes with no other.
func Networks(values []string) ([]resource.AttachmentConfiguration, bool, error) {
	var out []resource.AttachmentConfiguration
	var errs []error
	none := false
	for _, v := range values {
		if v == NoNetwork {
			none = true
			continue
		}
		a, err := Network(v)
		out, errs = append(out, a), append(errs, err)
	}
	if none && len(values) > 1 {
		errs = append(errs, fmt.Errorf("network %q: means no network at all, want it alone", NoNetwork))
	}
	return out, none, errors.Join(errs...)
}

// Network parses NAME[,key=value...]; "name=" may stand before NAME, as it does with Docker.
func Network(s string) (resource.AttachmentConfiguration, error) {
	s = strings.TrimPrefix(s, "name=")
	name, rest, more := strings.Cut(s, ",")
	a := resource.AttachmentConfiguration{Network: name}
	switch {
	case name == "" || strings.Contains(name, "="):
		return a, fmt.Errorf("network %q: want NAME[,key=value...]", s)
	case strings.HasPrefix(name, "container:"):
		return a, fmt.Errorf("network %q: a container has interfaces of its own, want a network that both are on", name)
	case name == NoNetwork && more:
		return a, fmt.Errorf("network %q: takes no keys", NoNetwork)
	case name == NoNetwork:
		return a, fmt.Errorf("network %q: means no network at all, want one that there is", NoNetwork)
	case !more:
		return a, nil
	}
	var errs []error
	seen := map[string]bool{}
	for field := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(field, "=")
		if ours, ok := dockerKeys[key]; ok {
			key = ours
		}
		switch {
		case !ok || value == "":
			errs = append(errs, fmt.Errorf("network %s: %q: want key=value, key one of %s", name, field, networkKeys))
			continue
		case seen[key] && key != "alias" && key != "sysctl":
			errs = append(errs, fmt.Errorf("network %s: %s: given twice", name, key))
			continue
		}
		seen[key] = true
		if err := setNetworkKey(&a, key, value); err != nil {
			errs = append(errs, fmt.Errorf("network %s: %w", name, err))
		}
	}
	return a, errors.Join(errs...)
}

func setNetworkKey(a *resource.AttachmentConfiguration, key, value string) (err error) {
	switch key {
	case "mac":
		a.MACAddress, err = resource.ParseMACAddress(value)
	case "mtu":
		a.MTU, err = MTU(value)
	case "ip":
		a.IPv4Address, err = address(key, value, netip.Addr.Is4, "IPv4 address without prefix length, like 10.0.0.5")
	case "ip6":
		a.IPv6Address, err = address(key, value, isIPv6, "IPv6 address without prefix length and zone, like fd00::5")
	case "ifname":
		a.InterfaceName = value
	case "hostname":
		a.Hostname = value
	case "alias":
		a.Aliases = append(a.Aliases, value)
	case "gateway-priority":
		a.GatewayPriority, err = priority(value)
	case "sysctl":
		return setSysctl(a, value)
	case "rate-in":
		a.RateIn, err = rate(key, value)
	case "rate-out":
		a.RateOut, err = rate(key, value)
	default:
		return fmt.Errorf("unknown key %q: want one of %s", key, networkKeys)
	}
	return err
}

func isIPv6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" }

func address(key, value string, ok func(netip.Addr) bool, want string) (netip.Addr, error) {
	a, err := netip.ParseAddr(value)
	if err != nil || !ok(a) {
		return netip.Addr{}, fmt.Errorf("%s %q: want an %s", key, value, want)
	}
	return a, nil
}

func rate(key, value string) (resource.BitRate, error) {
	r, err := resource.ParseBitRate(value)
	if err != nil {
		return 0, fmt.Errorf("%s %w", key, err)
	}
	return r, nil
}

func priority(value string) (int, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("gateway-priority %q: want a whole number of -2147483648 to 2147483647, the highest gets the default route", value)
	}
	return int(n), nil
}

// MTU parses the maximum transmission unit of an interface, in bytes.
func MTU(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < resource.MinMTU || n > resource.MaxMTU {
		return 0, fmt.Errorf("mtu %q: want a number of bytes from %d to %d", s, resource.MinMTU, resource.MaxMTU)
	}
	return n, nil
}

// IPv4Subnet parses an IPv4 prefix without host bits.
func IPv4Subnet(s string) (netip.Prefix, error) {
	return subnet(s, "an IPv4 subnet, like 10.1.0.0/24", func(a netip.Addr) bool { return a.Is4() })
}

// IPv6Subnet parses an IPv6 prefix without host bits.
func IPv6Subnet(s string) (netip.Prefix, error) {
	return subnet(s, "an IPv6 subnet, like fd00:1::/64", isIPv6)
}

func subnet(s, want string, ok func(netip.Addr) bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !ok(p.Addr()) {
		return netip.Prefix{}, fmt.Errorf("subnet %q: want %s", s, want)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("subnet %q: has host bits, want %s", s, p.Masked())
	}
	return p, nil
}
