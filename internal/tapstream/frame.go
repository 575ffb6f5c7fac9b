// Package tapstream carries Ethernet frames over stream sockets, in the framing
// of QEMU's "-netdev stream": each frame after its length as 32 bits, big endian.
package tapstream

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
)

const (
	// HeaderLength is the length of what stands before each frame.
	HeaderLength = 4
	// MaxFrame is the longest frame: the longest IP packet and an Ethernet header
	// with a VLAN tag.
	MaxFrame = 65535 + 18

	// readBuffer holds at least one frame of any length.
	readBuffer = 128 << 10
)

// PutHeader writes into the first HeaderLength bytes of b the header of a frame of
// n bytes.
func PutHeader(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)) }

// Reader takes frames from a stream. It never holds more than a fixed amount of
// memory, whatever the stream says.
type Reader struct {
	stream *bufio.Reader
	taken  int // bytes of the stream's buffer that the last frame still has
}

// NewReader returns a reader of frames.
func NewReader(r io.Reader) *Reader {
	return &Reader{stream: bufio.NewReaderSize(r, readBuffer)}
}

// Next returns the next frame, valid until the next call. A stream that ends
// between two frames gives io.EOF, within one io.ErrUnexpectedEOF; a length that
// no frame has is errdefs.ErrInvalidArgument, and then the stream is of no more
// use.
func (r *Reader) Next() ([]byte, error) {
	if _, err := r.stream.Discard(r.taken); err != nil {
		return nil, err
	}
	r.taken = 0
	header, err := r.stream.Peek(HeaderLength)
	if err != nil {
		return nil, within(err, len(header) > 0)
	}
	n := binary.BigEndian.Uint32(header)
	if n == 0 || n > MaxFrame {
		return nil, fmt.Errorf("frame of %d bytes: want 1 to %d: %w", n, MaxFrame, errdefs.ErrInvalidArgument)
	}
	whole, err := r.stream.Peek(HeaderLength + int(n))
	if err != nil {
		return nil, within(err, true)
	}
	r.taken = len(whole)
	return whole[HeaderLength:], nil
}

func within(err error, begun bool) error {
	if err == io.EOF && begun { //nolint:errorlint // bufio returns it as it is
		return io.ErrUnexpectedEOF
	}
	return err
}
