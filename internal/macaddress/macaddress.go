// Package macaddress makes MAC addresses.
package macaddress

import (
	"crypto/sha256"
	"net"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// Stable returns the same locally administered unicast address for the same parts, so that
// an attachment keeps its MAC over restarts without anything being stored.
func Stable(parts ...string) resource.MACAddress {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	hw := net.HardwareAddr(sum[:6])
	hw[0] = hw[0]&^1 | 2
	return resource.MACAddress(hw.String())
}
