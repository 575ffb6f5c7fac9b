package resource

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what a container may be given.
const (
	// MinMemoryBytes is less than any process needs that an OCI runtime can
	// still start.
	MinMemoryBytes = 6 << 20
	// MinNanoCPUs is 1 ms in each of the scheduler's periods of 100 ms, the
	// least that the kernel takes.
	MinNanoCPUs = 1e7
	// MaxInterfaceNameLength is IFNAMSIZ without the final zero (netdevice(7)).
	MaxInterfaceNameLength = 15
	// MaxHostnameLength is that of the kernel (gethostname(2)).
	MaxHostnameLength = 64
	maxLabelLength    = 63 // of a host name, between dots
)

// Validate reports every fault of form at once, as errdefs.ErrInvalidArgument.
// Whether image, networks and runtime exist, whether the kernel knows the
// capabilities and has the processors, and whether a network can serve the
// addresses is for others to say.
func (t ContainerTemplate) Validate() error {
	var faults []error
	add := func(errs ...error) { faults = append(faults, errs...) }
	if t.Image == "" {
		add(fmt.Errorf("image: is empty, want a reference, digest or id"))
	}
	add(validateHostname("hostname", t.Hostname))
	for _, e := range t.Env {
		add(validateEnv(e))
	}
	if t.WorkingDirectory != "" {
		add(validatePath("working directory", t.WorkingDirectory))
	}
	add(validateUser(t.User))
	add(validateText("entrypoint", t.Entrypoint), validateText("command", t.Command))
	add(validateMounts(t.Mounts)...)
	if t.NoNetwork && len(t.Networks) > 0 {
		add(fmt.Errorf("network: want either networks or none, not both"))
	}
	add(validateAttachments(t.Networks)...)
	add(t.DNS.faults()...)
	for _, h := range t.ExtraHosts {
		add(h.faults()...)
	}
	if t.NoNetwork && (len(t.Ports) > 0 || t.PublishAll) {
		add(fmt.Errorf("publish: the container has no network, want one to forward to"))
	}
	add(validatePorts(t.Ports)...)
	add(t.Resources.faults()...)
	for _, c := range slices.Concat(t.CapabilitiesAdd, t.CapabilitiesDrop) {
		if !isWord(strings.ToUpper(c), upper, upper+digits+"_") {
			add(fmt.Errorf("capability %q: want a name like NET_ADMIN, or ALL", c))
		}
	}
	add(t.Log.Validate())
	if t.StopTimeout != nil && *t.StopTimeout < 0 {
		add(fmt.Errorf("stop timeout %v: want 0 or more", *t.StopTimeout))
	}
	return invalid(faults...)
}

// Validate reports every fault of form at once, as errdefs.ErrInvalidArgument.
func (e Exec) Validate() error {
	var faults []error
	if len(e.Process.Args) == 0 || e.Process.Args[0] == "" {
		faults = append(faults, fmt.Errorf("command: is empty, want a program and its arguments"))
	}
	faults = append(faults, validateText("command", e.Process.Args), validateUser(e.Process.User))
	for _, v := range e.Process.Env {
		faults = append(faults, validateEnv(v))
	}
	if dir := e.Process.WorkingDirectory; dir != "" {
		faults = append(faults, validatePath("working directory", dir))
	}
	return invalid(faults...)
}

// validateHostname accepts names of RFC 1123 section 2.1, with dots, and the
// empty one.
func validateHostname(field, name string) error {
	if name == "" {
		return nil
	}
	if len(name) > MaxHostnameLength {
		return fmt.Errorf("%s %q: is %d bytes long, want at most %d", field, name, len(name), MaxHostnameLength)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isHostnameLabel(label) {
			return fmt.Errorf("%s %q: want letters, digits and '-', not first or last, in labels of 1 to 63 between dots (RFC 1123)", field, name)
		}
	}
	return nil
}

func isHostnameLabel(s string) bool {
	const letters = lower + upper + digits
	return len(s) <= maxLabelLength && isWord(s, letters, letters+"-") && !strings.HasSuffix(s, "-")
}

func validateEnv(variable string) error {
	key, _, ok := strings.Cut(variable, "=")
	if !ok || key == "" {
		return fmt.Errorf("env %q: want KEY=VALUE", variable)
	}
	if strings.ContainsRune(variable, 0) {
		return fmt.Errorf("env %q: has a zero byte", key)
	}
	return nil
}

// isUser reports whether s is one or two words with a colon between them.
func isUser(s string) bool {
	name, group, both := strings.Cut(s, ":")
	return name != "" && (group != "" || !both) && !strings.ContainsAny(name, " \t\n\f\r") && !strings.ContainsAny(group, ": \t\n\f\r")
}

func validateUser(user string) error {
	if user == "" {
		return nil
	}
	if !isUser(user) {
		return fmt.Errorf("user %q: want a name or number, and after a colon a group's, like app, 1000 or app:www", user)
	}
	for part := range strings.SplitSeq(user, ":") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil && (n < 0 || n > 1<<31-1) {
			return fmt.Errorf("user %q: want numbers of 0 to %d", user, 1<<31-1)
		}
	}
	return nil
}

func validateText(field string, words []string) error {
	if slices.ContainsFunc(words, func(w string) bool { return strings.ContainsRune(w, 0) }) {
		return fmt.Errorf("%s: has a zero byte", field)
	}
	return nil
}

func validatePath(field, p string) error {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return fmt.Errorf("%s %q: want an absolute path", field, p)
	}
	return nil
}

func (r Resources) faults() []error {
	var faults []error
	if r.MemoryBytes != 0 && r.MemoryBytes < MinMemoryBytes {
		faults = append(faults, fmt.Errorf("memory %d bytes: want at least %d (6 MiB), or 0 for no limit", r.MemoryBytes, MinMemoryBytes))
	}
	if r.NanoCPUs != 0 && r.NanoCPUs < MinNanoCPUs {
		faults = append(faults, fmt.Errorf("cpus %v: want at least 0.01, or 0 for no limit", float64(r.NanoCPUs)/1e9))
	}
	if r.PIDs < 0 {
		faults = append(faults, fmt.Errorf("pids limit %d: want at least 1, or 0 for no limit", r.PIDs))
	}
	return faults
}

func validateAttachments(wishes []AttachmentConfiguration) []error {
	var faults []error
	interfaces := map[string]bool{}
	for i, w := range NamedInterfaces(wishes) {
		label := "network " + strconv.Quote(w.Network)
		if w.Network == "" {
			label = fmt.Sprintf("network %d of %d", i+1, len(wishes))
			faults = append(faults, fmt.Errorf("%s: name is empty", label))
		}
		if interfaces[w.InterfaceName] {
			faults = append(faults, fmt.Errorf("%s: interface name %q is used twice", label, w.InterfaceName))
		}
		interfaces[w.InterfaceName] = true
		for _, err := range w.faults() {
			faults = append(faults, fmt.Errorf("%s: %w", label, err))
		}
	}
	return faults
}

// Validate reports every fault of form at once, as errdefs.ErrInvalidArgument.
func (c AttachmentConfiguration) Validate() error {
	return invalid(validateAttachments([]AttachmentConfiguration{c})...)
}

func (c AttachmentConfiguration) faults() []error {
	faults := []error{
		validateHostname("hostname", c.Hostname),
		validateStaticAddress("ip", c.IPv4Address, true),
		validateStaticAddress("ip6", c.IPv6Address, false),
		validateInterfaceName(c.InterfaceName),
		c.RateIn.fault("rate-in"),
		c.RateOut.fault("rate-out"),
	}
	faults = append(faults, sysctlFaults(c.Sysctls)...)
	for _, alias := range c.Aliases {
		if alias == "" {
			faults = append(faults, fmt.Errorf("alias: is empty"))
		}
		faults = append(faults, validateHostname("alias", alias))
	}
	if c.MACAddress != "" {
		if parsed, err := ParseMACAddress(string(c.MACAddress)); err != nil {
			faults = append(faults, err)
		} else if parsed != c.MACAddress {
			faults = append(faults, fmt.Errorf("mac address %q: want it as %s", c.MACAddress, parsed))
		}
	}
	if c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU) {
		faults = append(faults, fmt.Errorf("mtu %d: want %d to %d", c.MTU, MinMTU, MaxMTU))
	} else if c.MTU != 0 && c.MTU < MinMTUIPv6 && c.IPv6Address.IsValid() {
		faults = append(faults, fmt.Errorf("mtu %d: want at least %d for ipv6", c.MTU, MinMTUIPv6))
	}
	return slices.DeleteFunc(faults, func(err error) bool { return err == nil })
}

// validateStaticAddress refuses what no subnet can give out. Whether the
// network has the address is for its plugin to say.
func validateStaticAddress(field string, a netip.Addr, v4 bool) error {
	switch {
	case !a.IsValid():
		return nil
	case v4 && !a.Is4():
		return fmt.Errorf("%s %v: want an ipv4 address, like 10.0.0.7", field, a)
	case !v4 && (!a.Is6() || a.Is4In6()):
		return fmt.Errorf("%s %v: want an ipv6 address, like fd00::7", field, a)
	case a.Zone() != "":
		return fmt.Errorf("%s %v: want an address without a zone", field, a)
	case a.IsUnspecified(), a.IsLoopback(), a.IsMulticast(), !v4 && a.IsLinkLocalUnicast():
		return fmt.Errorf("%s %v: want a unicast address of the network's subnet", field, a)
	}
	return nil
}

// validateInterfaceName keeps to the kernel's rules (dev_valid_name) and leaves
// out what tools do not take.
func validateInterfaceName(name string) error {
	switch {
	case name == "":
		return nil
	case name == "lo", name == "all", name == "default":
		return fmt.Errorf("interface name %q: is the system's", name)
	case len(name) > MaxInterfaceNameLength:
		return fmt.Errorf("interface name %q: is %d bytes long, want at most %d", name, len(name), MaxInterfaceNameLength)
	case name == ".", name == "..", !isWord(name, lower+upper+digits, lower+upper+digits+"._-"):
		return fmt.Errorf("interface name %q: want letters, digits, '.', '_' and '-', a letter or digit first", name)
	}
	return nil
}
