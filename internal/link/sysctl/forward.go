package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// EnableForwarding lets the host forward packets between its interfaces, for
// IPv4 and, when v6 is set, for IPv6. It is never turned off again: others may
// rely on it too.
//
// A host that forwards IPv6 ignores router advertisements on interfaces whose
// accept_ra is 1; they are set to 2 first, so that the host keeps the
// addresses and routes that it got in this way (kernel, ip-sysctl.rst).
func EnableForwarding(v6 bool) error {
	if err := Set("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	if !v6 || Get("ipv6/conf/all/forwarding") == "1" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(root, "ipv6/conf"))
	if err != nil {
		return fmt.Errorf("enable forwarding: %w", err)
	}
	for _, e := range entries {
		accept := filepath.Join("ipv6/conf", e.Name(), "accept_ra")
		if e.Name() != "all" && Get(accept) == "1" {
			if err := Set(accept, "2"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return Set("ipv6/conf/all/forwarding", "1")
}

// ForwardingFaults says what of EnableForwarding is no longer so.
func ForwardingFaults(v6 bool) (faults []string) {
	if Get("ipv4/ip_forward") != "1" {
		faults = append(faults, "sysctl net.ipv4.ip_forward is off: no IPv4 traffic leaves the host")
	}
	if v6 && Get("ipv6/conf/all/forwarding") != "1" {
		faults = append(faults, "sysctl net.ipv6.conf.all.forwarding is off: no IPv6 traffic leaves the host")
	}
	return faults
}
