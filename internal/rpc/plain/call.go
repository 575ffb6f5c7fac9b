package plain

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/trace"
)

// answer answers a call. It returns false when the connection is closed, or somebody else's.
func (c *conn) answer(r request, message []byte) bool {
	if r.spec.StreamType == connect.StreamTypeUnary {
		return c.answerUnary(r, message)
	}
	return c.answerStream(r, message)
}

func (c *conn) answerUnary(r request, message []byte) bool {
	u := unary{only: only{message: message}, conn: c}
	err := c.server.Services.Call(c.begin(r, nil), r.spec.Procedure, r.info(), &u)
	c.end()
	if u.begun {
		if err != nil {
			c.Close()
		}
		return err == nil
	}
	if err != nil {
		u.answer, u.parts = c.server.Refusal(err), nil
	}
	if err = c.write(u.answer, u.parts); err != nil {
		c.Close()
	}
	return err == nil
}

// write sends bytes and what follows them, which may be long and is not copied.
func (c *conn) write(b []byte, parts [][]byte) error {
	if len(parts) == 0 {
		_, err := c.Write(b)
		return err
	}
	all := append(net.Buffers{b}, parts...)
	_, err := all.WriteTo(c.Conn)
	return err
}

func (c *conn) answerStream(r request, message []byte) bool {
	s := stream{conn: c, only: only{message: message, framed: true}}
	err := c.server.Services.Call(c.begin(r, &s), r.spec.Procedure, r.info(), &s)
	c.end()
	if s.taken {
		return false
	}
	if err = s.write(c.server.End(err)); err != nil {
		c.Close()
	}
	return err == nil
}

// info is what interceptors and handlers may know of a call.
func (r request) info() *connect.CallInfo {
	info := &connect.CallInfo{
		Spec: r.spec, Protocol: connect.ProtocolNameConnect, Codec: codec,
		RequestEncoding: connect.CompressionNameIdentity, ResponseEncoding: connect.CompressionNameIdentity,
	}
	if r.parent != "" {
		info.RequestHeader().Set(trace.ParentHeader, r.parent)
	}
	if r.state != "" {
		info.RequestHeader().Set(trace.StateHeader, r.state)
	}
	return info
}

// envelopeSize is how long the head of a message in a stream is: flags, of which there are
// none, and the length (https://connectrpc.com/docs/protocol#streaming-request).
const envelopeSize = 5

// only is the one message of a request.
type only struct {
	message []byte
	framed  bool // it is in an envelope
	ended   bool
}

// Receive implements connect.ServerStream.
func (o *only) Receive(into any) error {
	if o.ended {
		return io.EOF
	}
	o.ended = true
	if o.framed {
		if len(o.message) < envelopeSize || o.message[0] != 0 || uint64(binary.BigEndian.Uint32(o.message[1:])) != uint64(len(o.message)-envelopeSize) {
			return connect.Errorf(connect.CodeInvalidArgument, "protocol error: want one message in an envelope, not compressed")
		}
		o.message = o.message[envelopeSize:]
	}
	m, ok := into.(message.Message)
	if !ok {
		return connect.Errorf(connect.CodeInternal, "%T: want a message of api", into)
	}
	if err := message.Unmarshal(o.message, m); err != nil {
		return connect.Errorf(connect.CodeInvalidArgument, "unmarshal message: %v", err)
	}
	return nil
}

// unary is a call with one message to and one fro.
type unary struct {
	only
	conn   *conn
	answer []byte   // which is sent when the handler has returned
	parts  [][]byte // which follow it
	begun  bool     // the answer was sent, or as much of it as could be made: the end of the connection tells that it is not all
}

// SendHeaders implements connect.ServerStream: they go with the message.
func (u *unary) SendHeaders() error { return nil }

// head is what all answers begin with.
const head = "HTTP/1.1 200 OK\r\nContent-Type: " + unaryContent + "\r\n"

// Send implements connect.ServerStream. What is made while it is sent is sent before the handler returns.
func (u *unary) Send(msg any) error {
	m, ok := msg.(message.Message)
	if !ok {
		return connect.Errorf(connect.CodeInternal, "%T: want a message of api", msg)
	}
	const head = head + "Content-Length: "
	const room = len(head) + len("1234567890\r\n\r\n")
	b, rest, err := message.AppendApart(make([]byte, room), m)
	if err != nil {
		return connect.Errorf(connect.CodeInternal, "marshal message: %v", err)
	}
	if rest.Made != nil {
		return u.sendMade(b[room:], rest)
	}
	length := len(b) - room
	for _, part := range rest.Parts {
		length += len(part)
	}
	u.parts = rest.Parts
	size := strconv.Itoa(length)
	u.answer = b[room-len(head)-len(size)-len("\r\n\r\n"):]
	copy(u.answer, head+size+"\r\n\r\n")
	return nil
}

// chunkSize is how much of an answer that is made while it is sent is sent at once, in bytes, unless a part of it is
// longer.
const chunkSize = 16 << 10

// sendMade sends a message that begins with first, whose length nobody knows.
func (u *unary) sendMade(first []byte, rest message.Apart) error {
	const head = head + "Transfer-Encoding: chunked\r\n\r\n"
	u.begun = true
	b := append(make([]byte, 0, chunkSize+chunkSize/4), head...)
	chunk := startChunk(&b)
	b = append(b, first...)
	for _, part := range rest.Parts {
		b = append(b, part...)
	}
	for part, err := range rest.Made {
		if err != nil {
			return connect.Errorf(connect.CodeInternal, "marshal message: %v", err)
		}
		if b = append(b, part...); len(b) < chunkSize {
			continue
		}
		chunk.end(&b)
		if _, err := u.conn.Write(b); err != nil {
			return err
		}
		b = b[:0]
		chunk = startChunk(&b)
	}
	chunk.end(&b)
	_, err := u.conn.Write(append(b, "0\r\n\r\n"...))
	return err
}

// chunk is one whose length is not known yet (RFC 9112, section 7.1): where it begins.
type chunk int

// chunkHead is the head of a chunk of any length.
const chunkHead = "00000000\r\n"

func startChunk(b *[]byte) chunk {
	*b = append(*b, chunkHead...)
	return chunk(len(*b))
}

// end ends a chunk; one without content would end the answer, and goes.
func (c chunk) end(b *[]byte) {
	begin, length := int(c)-len(chunkHead), len(*b)-int(c)
	if length == 0 {
		*b = (*b)[:begin]
		return
	}
	copy((*b)[begin:], fmt.Sprintf("%08x", length))
	*b = append(*b, "\r\n"...)
}

// stream is a call with one message to and any number fro.
type stream struct {
	only
	conn  *conn
	begun bool // the head has been sent
	taken bool // the connection is somebody else's
}

// SendHeaders implements connect.ServerStream.
func (s *stream) SendHeaders() error {
	if s.begun {
		return nil
	}
	return s.write(nil)
}

// Send implements connect.ServerStream. The first message goes with the head.
func (s *stream) Send(msg any) error {
	m, ok := msg.(message.Message)
	if !ok {
		return connect.Errorf(connect.CodeInternal, "%T: want a message of api", msg)
	}
	chunk, err := Chunk(m, message.Append)
	if err != nil {
		return connect.Errorf(connect.CodeInternal, "marshal message: %v", err)
	}
	return s.write(chunk)
}

// write sends a part of the answer, after its head if that was not sent before.
func (s *stream) write(part []byte) error {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: " + streamContent + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	if s.taken {
		return fmt.Errorf("the connection of the stream is somebody else's: %w", net.ErrClosed)
	}
	if !s.begun {
		s.begun = true
		part = append([]byte(head), part...)
	}
	_, err := s.conn.Write(part)
	return err
}

// Chunk is a message of a stream in an envelope (https://connectrpc.com/docs/protocol#streaming-rpcs),
// in a chunk (RFC 9112, section 7.1).
func Chunk(m message.Message, appendForm func([]byte, message.Message) ([]byte, error)) ([]byte, error) {
	data, err := appendForm(make([]byte, envelopeSize, 512), m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(data[1:], uint32(len(data)-envelopeSize)) //nolint:gosec // messages are small
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data), nil
}

// Streams says whether a context is of a call that is answered with a stream, by a Server.
func Streams(ctx context.Context) bool {
	s, _ := ctx.Value(streamKey{}).(*stream)
	return s != nil
}

// Take takes the connection of such a call from the server. Its handler sends nothing more.
func Take(ctx context.Context) net.Conn {
	s := ctx.Value(streamKey{}).(*stream) //nolint:forcetypeassert // Streams says so
	s.taken = true
	return s.conn.Conn
}
