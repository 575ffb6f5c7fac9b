package direct

import (
	"fmt"
	"io"
	"sync"

	"connectrpc.com/connect/v2"
)

// stream is a call with any number of messages to, or fro, or both. It has a connection of
// its own, whose end is that of the call.
type stream struct {
	call
	buf     []byte // of the last message
	answer  answer
	arrived bool // the answer has begun
	ended   bool // the answer has ended

	mu       sync.Mutex // held while something is sent
	exchange *exchange  // guarded by mu; nil until something was sent
	sent     bool       // guarded by mu; the request has ended
}

// SendHeaders begins a request that comes in parts.
func (s *stream) SendHeaders() error {
	if s.spec.StreamType&connect.StreamTypeClient == 0 {
		return nil // they go with the message
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(nil)
}

// Send sends a message. Its error is io.EOF when the server takes no more, of which
// Receive knows why.
func (s *stream) Send(message any) error {
	data, err := s.appendEnvelope(nil, message)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent {
		return fmt.Errorf("send: the request has ended: %w", io.ErrClosedPipe)
	}
	if s.spec.StreamType&connect.StreamTypeClient != 0 {
		return s.send(appendChunk(nil, data))
	}
	s.sent = true
	request, err := s.head(s.contentStream(), len(data))
	if err != nil {
		return err
	}
	s.exchange, err = s.call.exchange(append(request, data...))
	return err
}

// CloseSend ends the request. That the server takes no more is no error.
func (s *stream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent {
		return nil
	}
	s.sent = true
	if err := s.send([]byte("0\r\n\r\n")); err != io.EOF { //nolint:errorlint // that of send alone
		return err
	}
	return nil
}

// send sends a part of the request, after its head if nothing was sent before. s.mu is
// held.
func (s *stream) send(part []byte) error {
	if s.exchange != nil {
		if _, err := s.exchange.conn.Write(part); err != nil {
			return io.EOF
		}
		return nil
	}
	request, err := s.head(s.contentStream(), chunks)
	if err != nil {
		return err
	}
	s.exchange, err = s.call.exchange(append(request, part...))
	return err
}

// appendChunk appends a part of a body (RFC 9112, section 7.1).
func appendChunk(b, data []byte) []byte {
	b = fmt.Appendf(b, "%x\r\n", len(data))
	b = append(b, data...)
	return append(b, "\r\n"...)
}

// current returns the exchange, nil if nothing was sent.
func (s *stream) current() *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchange
}

// Receive reads the next message.
func (s *stream) Receive(message any) error {
	x := s.current()
	if x == nil {
		return fmt.Errorf("receive: nothing was sent yet: %w", io.ErrClosedPipe)
	}
	if s.ended {
		return io.EOF
	}
	err := s.receive(x, message)
	if err == nil && s.spec.StreamType == connect.StreamTypeClient {
		err = s.last(x)
	}
	if err != nil {
		s.ended = true
		x.abandon()
	}
	if err == nil || err == io.EOF { //nolint:errorlint // that of receive alone
		return err
	}
	return s.failure(err)
}

// receive reads a message; io.EOF is the end that the server has sent.
func (s *stream) receive(x *exchange, message any) error {
	if !s.arrived {
		if err := s.begin(x); err != nil {
			return err
		}
	}
	flags, data, err := readEnvelope(s.answer.body, s.buf)
	if err != nil {
		return err
	}
	if s.buf = data; flags&flagEnd == 0 {
		return s.unmarshal(data, message)
	}
	if err := parseEnd(data); err != nil {
		return err
	}
	return io.EOF
}

// last reads the end after the only message: the server may have failed after it.
func (s *stream) last(x *exchange) error {
	flags, data, err := readEnvelope(s.answer.body, nil)
	switch {
	case err != nil:
		return err
	case flags&flagEnd == 0:
		return fmt.Errorf("%w: a second message", errMalformed)
	}
	err = parseEnd(data)
	if err == nil {
		s.ended = true
		x.abandon()
	}
	return err
}

// begin reads the answer's head.
func (s *stream) begin(x *exchange) (err error) {
	s.arrived = true
	if s.answer, err = readAnswer(x.conn.r); err != nil {
		return err
	}
	if s.answer.status == 200 && s.answer.contentType == s.contentStream() {
		return nil
	}
	body, err := s.answer.read()
	if err != nil {
		return err
	}
	return s.refusal(s.answer, s.contentStream(), body)
}

// Close gives up what of the call has not ended. A Receive that waits fails.
func (s *stream) Close() error {
	if x := s.current(); x != nil {
		x.abandon()
	}
	return nil
}
