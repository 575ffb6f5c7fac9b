package forward

import (
	"io"
	"net"
	"sync"
)

// copyBoth copies both ways until both have ended. What one side says by the end of its
// connection, or by breaking it, the other hears.
func copyBoth(a, b net.Conn) {
	var back sync.WaitGroup
	back.Go(func() { pump(a, b) })
	pump(b, a)
	back.Wait()
}

// pump copies one way.
func pump(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(to)
		reset(from)
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // of a connection that may be gone already
	} else {
		to.Close() // what comes from there is still read
	}
}

// reset breaks a connection, as its other half was.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // of a connection that may be gone already
	}
	c.Close()
}
