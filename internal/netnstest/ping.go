//go:build integration

package netnstest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Ping sends one ICMP echo request from inside ns to a literal address and
// waits for the answer. source, when not empty, is the address to send from,
// whether the namespace has it or not.
func Ping(ns *netns.Namespace, target, source string, timeout time.Duration) error {
	to, err := netip.ParseAddr(target)
	if err != nil {
		return err
	}
	return ns.Do(func() error { return ping(to, source, timeout) })
}

func ping(to netip.Addr, source string, timeout time.Duration) error {
	family, protocol, request, reply, offset := unix.AF_INET, unix.IPPROTO_ICMP, byte(8), byte(0), 20
	if to.Is6() {
		family, protocol, request, reply, offset = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128, 129, 0
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	defer unix.Close(fd)
	if source != "" {
		if err := bindForeign(fd, netip.MustParseAddr(source)); err != nil {
			return err
		}
	}
	packet := []byte{request, 0, 0, 0, 0x70, 0x62, 0, 1}
	if to.Is4() {
		sum := checksum(packet)
		packet[2], packet[3] = byte(sum>>8), byte(sum)
	}
	if err := unix.Sendto(fd, packet, 0, sockaddr(to)); err != nil {
		return fmt.Errorf("ping %s: %w", to, err)
	}
	deadline := time.Now().Add(timeout)
	buffer := make([]byte, 256)
	for {
		left := time.Until(deadline)
		if left < time.Microsecond { // which the kernel would take for "no limit"
			return fmt.Errorf("ping %s: no answer within %v", to, timeout)
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		if n >= offset+8 && buffer[offset] == reply && buffer[offset+4] == 0x70 {
			return nil
		}
	}
}

// bindForeign lets a socket send from an address that its host may not have.
func bindForeign(fd int, source netip.Addr) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if source.Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return err
	}
	return unix.Bind(fd, sockaddr(source))
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// checksum is the internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
