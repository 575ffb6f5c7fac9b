package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// conf has the settings of each interface, by family.
var conf = []string{"ipv4/conf", "ipv6/conf"}

// All returns the settings of an interface by their keys without its name, as
// far as they can be read.
func All(name string) (map[string]string, error) {
	all := map[string]string{}
	for _, family := range conf {
		dir := filepath.Join(family, name)
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("interface %s: sysctls: %w", name, err)
		}
		for _, e := range entries {
			if value := Get(filepath.Join(dir, e.Name())); value != "" {
				all[filepath.Join(family, e.Name())] = value
			}
		}
	}
	return all, nil
}

// SetAll gives an interface the settings that All returned. Those that cannot be
// written are left.
func SetAll(name string, all map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		err := Set(filepath.Join(filepath.Dir(key), name, filepath.Base(key)), all[key])
		if err != nil && !unwritable(err) {
			return err
		}
	}
	return nil
}

func unwritable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL)
}

// Quiet makes the IPv6 of a bridge wait for nobody and listen to no router. It
// is no router of its link itself. Without IPv6 there is nothing to do.
func Quiet(name string) error {
	if !HasIPv6() {
		return nil
	}
	for key, value := range map[string]string{"disable_ipv6": "0", "accept_ra": "0", "accept_dad": "0"} {
		err := Set(filepath.Join("ipv6/conf", name, key), value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // absent: an MTU below IPv6's minimum
			return err
		}
	}
	return noRouter(name)
}

// noRouter has an interface be no router of its link, which is another thing than whether the
// host forwards what comes in by it: that is all.forwarding (kernel, ip-sysctl.rst). The
// kernel then keeps no anycast address for each of its subnets, two routes of the seven of a
// bridge, which it goes through with all others whenever a link comes or goes. Nobody
// redirects the host by it, which a router knows by itself. Where /proc/sys is read-only, it stays one.
func noRouter(name string) error {
	for _, key := range []string{"accept_redirects", "forwarding"} { // in this order: never without the former
		err := Set(filepath.Join("ipv6/conf", name, key), "0")
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EROFS):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// WithoutIPv6 has an interface that is down take no part in IPv6, as nothing but a
// port of a bridge does: the kernel goes through the multicast routes of all interfaces that do for each of
// them that comes or goes, and for each multicast packet. It returns false where /proc/sys
// is read-only: it takes part there.
func WithoutIPv6(name string) (bool, error) {
	err := Set(filepath.Join("ipv6/conf", name, "disable_ipv6"), "1")
	switch {
	case errors.Is(err, fs.ErrNotExist): // it cannot
		return true, nil
	case errors.Is(err, unix.EROFS):
		return false, nil
	}
	return err == nil, err
}

type setting struct{ family, key, value string }

// sandbox are the settings of an interface whose addresses and routes are all
// given: it has IPv6 whatever the host's default is, and listens to no
// router, which could add routes.
var sandbox = []setting{
	{"ipv6", "disable_ipv6", "0"},
	{"ipv6", "accept_ra", "0"},
}

// announcing are those of one that tells its neighbours when the MAC address that belongs to
// its addresses may have changed. The kernel then tells all of its link-local address too,
// when it has looked for duplicates of it, a second or two after the interface is up.
var announcing = []setting{
	{"ipv4", "arp_notify", "1"},
	{"ipv6", "ndisc_notify", "1"},
}

// PrepareNamespace makes the settings of a sandbox's interfaces what interfaces are born
// with, so that Prepare finds them right.
func PrepareNamespace() error { return prepare("default", sandbox) }

func prepare(name string, settings []setting) error {
	for _, s := range settings {
		err := Set(filepath.Join(s.family, "conf", name, s.key), s.value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	return nil
}

// Prepare applies the settings of a sandbox's interface, which announces its addresses or
// does not, then those that somebody asked for. Where /proc/sys is read-only, the kernel's
// defaults have to do for the former.
func Prepare(name string, announces bool, asked []Interface) error {
	settings := sandbox
	if announces {
		settings = slices.Concat(sandbox, announcing)
	}
	if err := prepare(name, settings); err != nil {
		return err
	}
	var faults []error
	for _, s := range asked {
		if err := SetInterface(name, s); err != nil {
			faults = append(faults, fmt.Errorf("interface %s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

// The settings of AnswerForItself.
const (
	arpIgnore   = "arp_ignore"
	arpAnnounce = "arp_announce"
)

// AnswerForItself has an interface answer ARP for its own addresses only, and
// ask with them only: with two interfaces in one subnet the kernel would else
// answer for one by the other (kernel, ip-sysctl.rst). What is no longer the
// kernel's default stays.
func AnswerForItself(name string) error {
	for key, value := range map[string]string{arpIgnore: "1", arpAnnounce: "2"} {
		path := filepath.Join("ipv4/conf", name, key)
		if Get(path) != "0" {
			continue
		}
		err := Set(path, value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	return nil
}

// BornToAnswerForItself returns what AnswerForItself would set of an interface that has just
// been born, by the numbers of the settings (include/uapi/linux/ip.h).
func BornToAnswerForItself() map[int]uint32 {
	const numberOfAnnounce, numberOfIgnore = 18, 19 // IPV4_DEVCONF_ARP_ANNOUNCE, _IGNORE
	settings := map[int]uint32{}
	if Get("ipv4/conf/default/"+arpIgnore) == "0" {
		settings[numberOfIgnore] = 1
	}
	if Get("ipv4/conf/default/"+arpAnnounce) == "0" {
		settings[numberOfAnnounce] = 2
	}
	return settings
}
