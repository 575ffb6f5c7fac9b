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

// HardwareAddr returns the octets, or nil for an empty or malformed address.
func (m MACAddress) HardwareAddr() net.HardwareAddr {
	hw, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return hw
}
