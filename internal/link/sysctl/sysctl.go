// Package sysctl reads and writes the kernel's network settings below
// /proc/sys/net. They are those of the network namespace of the calling thread:
// the kernel takes the namespace of the thread that opens the file.
package sysctl

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

const root = "/proc/sys/net"

// Get returns the setting of a key like "ipv4/ip_forward" without white space
// around it; empty where it cannot be read.
func Get(key string) string {
	b, err := os.ReadFile(filepath.Join(root, key))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Set leaves alone what is right already, so that it works where the file is
// read-only too.
func Set(key, value string) error {
	if Get(key) == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join(root, key), []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl net.%s: %w", strings.ReplaceAll(key, "/", "."), err)
	}
	return nil
}

// HasIPv6 reports whether the kernel speaks IPv6 at all.
func HasIPv6() bool {
	_, err := os.Stat(filepath.Join(root, "ipv6"))
	return err == nil
}

// BridgesFiltered reports whether packets over bridges pass the filters of IP
// (kernel, br_netfilter).
func BridgesFiltered() bool {
	return Get("bridge/bridge-nf-call-iptables") == "1" || Get("bridge/bridge-nf-call-ip6tables") == "1"
}

// Interface is a setting of an interface. IFNAME in the key stands for its name:
// net.ipv4.conf.IFNAME.rp_filter.
type Interface struct{ Key, Value string }

// path is the key of the setting for Get and Set. A name may have dots.
func (s Interface) path(name string) string {
	parts := strings.Split(strings.TrimPrefix(s.Key, "net."), ".")
	for i, part := range parts {
		if part == "IFNAME" {
			parts[i] = name
		}
	}
	return filepath.Join(parts...)
}

// SetInterface gives the interface of that name a setting. What the kernel does
// not know or take is errdefs.ErrInvalidArgument.
func SetInterface(name string, s Interface) error {
	err := Set(s.path(name), s.Value)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sysctl %s: the kernel has none of that name: %w", s.Key, errdefs.ErrInvalidArgument)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("sysctl %s: the kernel does not take the value %q: %w", s.Key, s.Value, errdefs.ErrInvalidArgument)
	}
	return err
}
