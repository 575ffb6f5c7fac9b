// Command framesender puts Ethernet frames on an interface, for tests of what a
// container can do that makes them by itself. It is static, needs CAP_NET_RAW, and
// reads a frame a line, as hexadecimal digits; it answers each with a line "sent".
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "framesender: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("arguments %q: want the name of an interface", args)
	}
	nic, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: nic.Index}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<18)
	for lines.Scan() {
		frame, err := hex.DecodeString(lines.Text())
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, "sent"); err != nil {
			return err
		}
	}
	return lines.Err()
}
