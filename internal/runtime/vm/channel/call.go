package channel

import (
	"errors"
	"net"
	"time"

	"github.com/hashicorp/yamux"
)

// Call opens a stream for calls of the agent. The end of a call's time closes it, and
// that ends a Read or Write that waits, though the guest stands still and never answers.
func Call(session *yamux.Session) (net.Conn, error) {
	s, err := session.OpenStream()
	if err != nil {
		return nil, err
	}
	return cutStream{s}, nil
}

// cutStream is a stream whose Close is that of net.Conn. That of yamux ends writes to
// come alone: a Read goes on until the other side closes as well.
type cutStream struct{ *yamux.Stream }

func (s cutStream) Close() error {
	return errors.Join(s.SetDeadline(time.Unix(0, 0)), s.Stream.Close())
}
