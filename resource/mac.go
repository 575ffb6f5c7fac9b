package resource

import (
	"fmt"
	"net"
	"strings"
)

// MACAddress is a unicast EUI-48 address in lower-case colon form, e.g.
// "02:42:ac:11:00:02"; empty means none.
type MACAddress string

// ParseMACAddress accepts any form of net.ParseMAC that is 6 octets long and
// unicast (IEEE 802: the lowest bit of the first octet is 0) and not all zero.
func ParseMACAddress(s string) (MACAddress, error) {
	if isMACAddress(s) {
		return MACAddress(s), nil
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("mac address %q: want 6 octets, like 02:42:ac:11:00:02", s)
	}
	if hw[0]&1 != 0 {
		return "", fmt.Errorf("mac address %q: is a multicast address, want an even first octet", s)
	}
	if strings.Trim(hw.String(), "0:") == "" {
		return "", fmt.Errorf("mac address %q: is all zero", s)
	}
	return MACAddress(hw.String()), nil
}

// isMACAddress reports whether s is a MACAddress, without memory for it.
func isMACAddress(s string) bool {
	if len(s) != len("02:42:ac:11:00:02") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i%3 == 2 && c != ':' || i%3 != 2 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return strings.IndexByte("02468ace", s[1]) >= 0 && strings.Trim(s, "0:") != ""
}

// HardwareAddr returns the octets, or nil for an empty or malformed address.
func (m MACAddress) HardwareAddr() net.HardwareAddr {
	hw, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return hw
}
