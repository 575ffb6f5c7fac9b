package hostport

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
)

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// lastEphemeral is the end of the range from which the kernel gives ports to
// connections (ip(7), ip_local_port_range).
func lastEphemeral() uint16 {
	const usual = 60999
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	fields := strings.Fields(string(content))
	if err != nil || len(fields) != 2 {
		return usual
	}
	last, err := strconv.ParseUint(fields[1], 10, 16)
	if err != nil {
		return usual
	}
	return uint16(last)
}
