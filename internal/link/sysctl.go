package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const sysctlNet = "/proc/sys/net"

// HasIPv6 reports whether the kernel speaks IPv6 at all.
func HasIPv6() bool {
	_, err := os.Stat(filepath.Join(sysctlNet, "ipv6"))
	return err == nil
}

// EnableForwarding lets the host forward packets between its interfaces, for
// IPv4 and, when v6 is set, for IPv6. It is never turned off again: others may
// rely on it too.
//
// A host that forwards IPv6 ignores router advertisements on interfaces whose
// accept_ra is 1; they are set to 2 first, so that the host keeps the
// addresses and routes that it got in this way (kernel, ip-sysctl.rst).
func (h *Handle) EnableForwarding(v6 bool) error {
	return h.inside(func() error {
		if err := setSysctl("ipv4/ip_forward", "1"); err != nil {
			return err
		}
		if !v6 || getSysctl("ipv6/conf/all/forwarding") == "1" {
			return nil
		}
		entries, err := os.ReadDir(filepath.Join(sysctlNet, "ipv6/conf"))
		if err != nil {
			return fmt.Errorf("enable forwarding: %w", err)
		}
		for _, e := range entries {
			accept := filepath.Join("ipv6/conf", e.Name(), "accept_ra")
			if e.Name() != "all" && getSysctl(accept) == "1" {
				if err := setSysctl(accept, "2"); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		return setSysctl("ipv6/conf/all/forwarding", "1")
	})
}

// ForwardingFaults says what of EnableForwarding is no longer so.
func (h *Handle) ForwardingFaults(v6 bool) (faults []string) {
	err := h.inside(func() error {
		if getSysctl("ipv4/ip_forward") != "1" {
			faults = append(faults, "sysctl net.ipv4.ip_forward is off: no IPv4 traffic leaves the host")
		}
		if v6 && getSysctl("ipv6/conf/all/forwarding") != "1" {
			faults = append(faults, "sysctl net.ipv6.conf.all.forwarding is off: no IPv6 traffic leaves the host")
		}
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}

// quietIPv6 makes the IPv6 of an interface wait for nobody and listen to no
// router. Without IPv6 there is nothing to do.
func (h *Handle) quietIPv6(name string) error {
	if !HasIPv6() {
		return nil
	}
	return h.inside(func() error {
		for key, value := range map[string]string{"disable_ipv6": "0", "accept_ra": "0", "accept_dad": "0"} {
			err := setSysctl(filepath.Join("ipv6/conf", name, key), value)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // absent: an MTU below IPv6's minimum
				return err
			}
		}
		return nil
	})
}

// sandboxSysctls are the settings of an interface whose addresses and routes
// are all given: it tells its neighbours when the MAC address that belongs to
// them may have changed, has IPv6 whatever the host's default is, and listens to
// no router, which could add routes.
var sandboxSysctls = []struct{ family, key, value string }{
	{"ipv4", "arp_notify", "1"},
	{"ipv6", "ndisc_notify", "1"},
	{"ipv6", "disable_ipv6", "0"},
	{"ipv6", "accept_ra", "0"},
}

// Sysctl is a setting of an interface. IFNAME in the key stands for its name:
// net.ipv4.conf.IFNAME.rp_filter.
type Sysctl struct{ Key, Value string }

// path is the file of the setting below /proc/sys/net. A name may have dots.
func (s Sysctl) path(name string) string {
	parts := strings.Split(strings.TrimPrefix(s.Key, "net."), ".")
	for i, part := range parts {
		if part == "IFNAME" {
			parts[i] = name
		}
	}
	return filepath.Join(parts...)
}

// set refuses what the kernel does not know or take.
func (s Sysctl) set(name string) error {
	err := setSysctl(s.path(name), s.Value)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sysctl %s: the kernel has none of that name: %w", s.Key, errdefs.ErrInvalidArgument)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("sysctl %s: the kernel does not take the value %q: %w", s.Key, s.Value, errdefs.ErrInvalidArgument)
	}
	return err
}

// prepare applies the settings of a sandbox's interface, then those that
// somebody asked for. Where /proc/sys is read-only, the kernel's defaults
// have to do for the former.
func (h *Handle) prepare(name string, asked []Sysctl) error {
	return h.inside(func() error {
		for _, s := range sandboxSysctls {
			err := setSysctl(filepath.Join(s.family, "conf", name, s.key), s.value)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EROFS) {
				return err
			}
		}
		var faults []error
		for _, s := range asked {
			if err := s.set(name); err != nil {
				faults = append(faults, fmt.Errorf("interface %s: %w", name, err))
			}
		}
		return errors.Join(faults...)
	})
}

// inside runs f where /proc/sys/net is that of the handle's namespace: the
// kernel takes the namespace of the thread that opens the file.
func (h *Handle) inside(f func() error) error {
	if h.ns == nil {
		return f()
	}
	return h.ns.Do(f)
}

func getSysctl(key string) string {
	b, err := os.ReadFile(filepath.Join(sysctlNet, key))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// setSysctl leaves alone what is right already, so that it works where the
// file is read-only too.
func setSysctl(key, value string) error {
	if getSysctl(key) == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join(sysctlNet, key), []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl net.%s: %w", strings.ReplaceAll(key, "/", "."), err)
	}
	return nil
}
