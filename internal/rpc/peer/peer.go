// Package peer tells who is at the other end of a unix connection.
package peer

import (
	"fmt"
	"net"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection (SO_PEERCRED, unix(7)).
type Peer struct{ PID, UID, GID int }

// Of returns the process at the other end of a unix connection, or of one around it with a
// method NetConn.
func Of(c net.Conn) (Peer, error) {
	if around, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = around.NetConn()
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("%T: want a unix connection: %w", c, errdefs.ErrInvalidArgument)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Peer{}, err
	}
	if credErr != nil {
		return Peer{}, credErr
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}
