package hostport

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// procfs is where the host's processes and sockets are.
const procfs = "/proc"

// Owners says which processes have ports that clash with the given ones: "process
// nginx (pid 123)", by the place of the port; those that nobody has are absent.
func Owners(ports []resource.PublishedPort) map[int]string {
	inodes := map[string][]int{} // of sockets, to places in ports
	for _, s := range sockets() {
		for i, p := range ports {
			if s.port.Clashes(p) {
				inodes[s.inode] = append(inodes[s.inode], i)
			}
		}
	}
	owners := map[int]string{}
	if len(inodes) == 0 {
		return owners
	}
	for socket, pid := range holders(inodes) {
		name, err := os.ReadFile(filepath.Join(procfs, strconv.Itoa(pid), "comm"))
		if err != nil {
			continue // it has just ended
		}
		for _, i := range inodes[socket] {
			owners[i] = fmt.Sprintf("process %s (pid %d)", strings.TrimSpace(string(name)), pid)
		}
	}
	return owners
}

// sockets are those of the network namespace of the process.
func sockets() []socket {
	var all []socket
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open(filepath.Join(procfs, "self/net", file))
		if err != nil {
			continue // no IPv6
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if s, ok := parseSocket(file[:3], lines.Text()); ok {
				all = append(all, s)
			}
		}
		f.Close()
	}
	return all
}

// holders returns a process for each socket that one has.
func holders(inodes map[string][]int) map[string]int {
	out := map[string]int{}
	entries, err := os.ReadDir(procfs)
	if err != nil {
		return out
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		descriptors := filepath.Join(procfs, e.Name(), "fd")
		open, err := os.ReadDir(descriptors)
		if err != nil {
			continue // it has just ended
		}
		for _, d := range open {
			target, err := os.Readlink(filepath.Join(descriptors, d.Name()))
			inode, ok := strings.CutPrefix(target, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if err == nil && ok && inodes[inode] != nil && out[inode] == 0 {
				out[inode] = pid
			}
		}
	}
	return out
}

// socket is a line of /proc/net/tcp or its like.
type socket struct {
	port  resource.PublishedPort // its local end
	inode string
}

// parseSocket reads a line as proc_pid_net(5) describes it: a number, the local
// end as address:port in hexadecimal digits, and in the tenth field the inode. A
// wildcard address of IPv6 is taken for both families, as it mostly is.
func parseSocket(protocol, line string) (socket, bool) {
	const localEnd, inode = 1, 9
	fields := strings.Fields(line)
	if len(fields) <= inode || fields[inode] == "0" {
		return socket{}, false
	}
	address, port, ok := strings.Cut(fields[localEnd], ":")
	number, err1 := strconv.ParseUint(port, 16, 16)
	bytes, err2 := hex.DecodeString(address)
	if !ok || err1 != nil || err2 != nil || len(bytes)%4 != 0 {
		return socket{}, false
	}
	for word := range slices.Chunk(bytes, 4) { // each is in the host's byte order
		if littleEndian {
			slices.Reverse(word)
		}
	}
	a, ok := netip.AddrFromSlice(bytes)
	if !ok {
		return socket{}, false
	}
	p := resource.PublishedPort{Protocol: protocol, HostAddress: a.Unmap(), HostPort: uint16(number)}
	if a.Is6() && a.IsUnspecified() {
		p.HostAddress = netip.Addr{}
	}
	return socket{port: p, inode: fields[inode]}, true
}
