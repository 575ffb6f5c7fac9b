package main

import (
	"context"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// congestionControl is that of all connections, whatever the host's default: the one that
// every process may have (tcp(7)) and that does not pace. BBR sends by its estimate of the path,
// and on a path of some microseconds its figures are those of its timers.
const congestionControl = "reno"

// control sets it on a socket that neither listens nor is connected yet; connections have that of
// the socket that accepted them. One that has been paced stays so.
func control(_, _ string, socket syscall.RawConn) error {
	var err error
	if failed := socket.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt TCP_CONGESTION", unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestionControl))
	}); failed != nil {
		return failed
	}
	return err
}

// listen listens on a port of all addresses of a network, "tcp" or "tcp4".
func listen(network, port string) (net.Listener, error) {
	config := net.ListenConfig{Control: control}
	return config.Listen(context.Background(), network, ":"+port)
}
