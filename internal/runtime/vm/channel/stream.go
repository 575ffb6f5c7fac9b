package channel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/message"
	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
)

// WriteHeader begins a stream.
func WriteHeader(w io.Writer, h *guestv1.StreamHeader) error {
	data, err := message.Append(nil, h)
	if err != nil {
		return err
	}
	if len(data) > 255 {
		return fmt.Errorf("stream of process %s: its header is too long: %w", h.GetProcessId(), errdefs.ErrInvalidArgument)
	}
	_, err = w.Write(append([]byte{byte(len(data))}, data...))
	return err
}

// ReadHeader reads the beginning of a stream.
func ReadHeader(r io.Reader) (*guestv1.StreamHeader, error) {
	var length [1]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	data := make([]byte, length[0])
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	h := &guestv1.StreamHeader{}
	if err := message.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("header of a stream: %w", err)
	}
	return h, nil
}

// Stream is a stream of the session as the hub of a process wants it: a read
// deadline that has passed is os.ErrDeadlineExceeded.
type Stream struct{ net.Conn }

func (s Stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}
