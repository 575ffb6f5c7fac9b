package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SysctlInterface stands for the interface's name in a sysctl's.
const SysctlInterface = "IFNAME"

// sysctlFaults reports what is wrong with an attachment's settings. Only those
// of one interface belong to an attachment: others are all of the sandbox's.
func sysctlFaults(sysctls map[string]string) []error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		faults = append(faults, ValidateSysctl(key, sysctls[key]))
	}
	return faults
}

// ValidateSysctl checks one setting of an interface.
func ValidateSysctl(key, value string) error {
	switch {
	case !isInterfaceSysctl(key):
		return fmt.Errorf("sysctl %q: want one of the interface: net.ipv4.conf.IFNAME.KEY, or ipv6 or mpls for ipv4, or neigh for conf", key)
	case value == "" || !printable(value):
		return fmt.Errorf("sysctl %s: value %q: want printable text", key, value)
	case key == "net.ipv6.conf.IFNAME.disable_ipv6" && value != "0":
		return fmt.Errorf("sysctl %s: the network gives the interface an ipv6 address; want a network without ipv6", key)
	}
	return nil
}

func isInterfaceSysctl(key string) bool {
	parts := strings.Split(key, ".")
	return len(parts) == 5 && parts[0] == "net" &&
		slices.Contains([]string{"ipv4", "ipv6", "mpls"}, parts[1]) && slices.Contains([]string{"conf", "neigh"}, parts[2]) &&
		parts[3] == SysctlInterface && isWord(parts[4], lower, lower+digits+"_")
}
