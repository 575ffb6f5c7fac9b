// Package sysctl reads and writes the kernel's network settings below
// /proc/sys/net. They are those of the network namespace of the calling thread:
// the kernel takes the namespace of the thread that opens the file.
package sysctl

import (
	"bytes"
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
	fd, err := open(key, unix.O_RDONLY)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	return read(fd)
}

// Set leaves alone what is right already, so that it works where the file is
// read-only too.
func Set(key, value string) error {
	fd, err := open(key, unix.O_RDWR)
	if err == nil {
		defer unix.Close(fd)
		if read(fd) == value {
			return nil
		}
		_, err = unix.Pwrite(fd, []byte(value), 0)
	} else if Get(key) == value {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sysctl net.%s: %w", strings.ReplaceAll(key, "/", "."), err)
	}
	return nil
}

// open opens the file of a setting for system calls of ours: an os.File asks for six
// more, to find out whether it can be waited for.
func open(key string, flags int) (int, error) {
	return unix.Open(filepath.Join(root, key), flags|unix.O_CLOEXEC, 0)
}

// read returns a setting without white space around it. A longer one than a page is cut,
// which no setting of the network is.
func read(fd int) string {
	var b [4096]byte
	n, err := unix.Pread(fd, b[:], 0)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b[:n]))
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
