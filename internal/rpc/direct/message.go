package direct

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/api/message"
)

// What is in the first byte of an envelope
// (https://connectrpc.com/docs/protocol#streaming-request).
const (
	flagCompressed = 1 << iota
	flagEnd
)

// envelopeSize is how long the head of a message in a stream is: flags, and the length.
const envelopeSize = 5

// ErrForm is in the error of a call whose server does not take messages in its form (HTTP
// status 415). Nothing has come of the call.
var ErrForm = errors.New("the server does not take messages in this form")

// Form is how messages are written.
type Form interface {
	// Name is that of the codec in content types.
	Name() string
	MarshalAppend(b []byte, m message.Message) ([]byte, error)
	Unmarshal(data []byte, m message.Message) error
}

// Binary is the form of protobuf that every server takes but those that say otherwise.
type Binary struct{}

// Name implements Form.
func (Binary) Name() string { return "proto" }

// MarshalAppend implements Form.
func (Binary) MarshalAppend(b []byte, m message.Message) ([]byte, error) {
	return message.Append(b, m)
}

// Unmarshal implements Form.
func (Binary) Unmarshal(data []byte, m message.Message) error { return message.Unmarshal(data, m) }

// taken is Binary for a process that keeps little of an answer for long: the texts of an
// answer are parts of it.
type taken struct{ Binary }

func (t transport) contentUnary() string  { return "application/" + t.form.Name() }
func (t transport) contentStream() string { return "application/connect+" + t.form.Name() }

// marshal appends a message.
func (t transport) marshal(b []byte, msg any) ([]byte, error) {
	m, ok := msg.(message.Message)
	if !ok {
		return nil, connect.Errorf(connect.CodeInternal, "%T: want a message of api", msg)
	}
	b, err := t.form.MarshalAppend(b, m)
	if err != nil {
		return nil, connect.Errorf(connect.CodeInternal, "marshal %T: %v", msg, err)
	}
	return b, nil
}

// unmarshal reads a message from data that the caller uses for something else afterwards.
func (t transport) unmarshal(data []byte, msg any) error { return read(t.form.Unmarshal, data, msg) }

// piecesKey is of contexts of InPieces.
type piecesKey struct{}

// InPieces returns a context for calls whose answers are lists, which are read by message.Parts while they come: that returns what
// keeps them from coming, and what it has returned is valid until the next part. Answers in another form than the binary one
// are read as always. Who does not read an answer to its end ends the context.
func InPieces(ctx context.Context) context.Context {
	return context.WithValue(ctx, piecesKey{}, true)
}

// list is a message with message.Fields.
type list interface {
	SetFields(parts [][]byte)
	SetBody(from io.Reader)
}

// asList returns a list of the caller that is to be read later, if that is how it wants msg.
func (c *call) asList(msg any) (l list, ok bool) {
	switch c.form.(type) {
	case taken, Binary:
		if c.ctx.Value(piecesKey{}) != nil {
			l, ok = msg.(list)
		}
	}
	return l, ok
}

// unmarshalLast is unmarshal of data that is not touched any more.
func (c *call) unmarshalLast(data []byte, msg any) error {
	if l, ok := c.asList(msg); ok {
		l.SetFields([][]byte{data})
		return nil
	}
	if _, ok := c.form.(taken); ok {
		return read(message.Take, data, msg)
	}
	return c.unmarshal(data, msg)
}

func read(unmarshal func([]byte, message.Message) error, data []byte, msg any) error {
	m, ok := msg.(message.Message)
	if !ok {
		return connect.Errorf(connect.CodeInternal, "%T: want a message of api", msg)
	}
	if err := unmarshal(data, m); err != nil {
		return connect.Errorf(connect.CodeInternal, "unmarshal %T: %v", msg, err)
	}
	return nil
}

// appendEnvelope appends a message of a stream.
func (t transport) appendEnvelope(b []byte, msg any) ([]byte, error) {
	begin := len(b)
	b, err := t.marshal(append(b, make([]byte, envelopeSize)...), msg)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[begin+1:], uint32(len(b)-begin-envelopeSize))
	return b, nil
}

// readEnvelope reads a message of a stream, its data into buf if that is large enough.
// A stream has not ended before its last envelope: its error is io.ErrUnexpectedEOF then.
func readEnvelope(r io.Reader, buf []byte) (flags byte, data []byte, err error) {
	var head [envelopeSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, buf, unexpected(err)
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if head[0]&flagCompressed != 0 {
		return 0, buf, fmt.Errorf("%w: a compressed message was not asked for", errMalformed)
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	_, err = io.ReadFull(r, buf[:size])
	return head[0], buf[:size], unexpected(err)
}

// wireError is an error as it is sent.
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// parseError returns the error that a server has sent; ok: it is one.
func parseError(data []byte) (said error, ok bool) {
	var e wireError
	ok = json.Unmarshal(data, &e) == nil && e.Code != ""
	return e.status(), ok
}

func (e wireError) status() error {
	code := connect.CodeUnknown
	if code.UnmarshalText([]byte(e.Code)) != nil {
		code = connect.CodeUnknown
	}
	return connect.NewError(code, e.Message).WithRemote()
}

// parseEnd returns the error that a stream has ended with, nil for none.
func parseEnd(data []byte) error {
	var end struct {
		Error *wireError `json:"error"`
	}
	if err := json.Unmarshal(data, &end); err != nil {
		return fmt.Errorf("%w: %q at the end of a stream", errMalformed, data)
	}
	if end.Error == nil {
		return nil
	}
	return end.Error.status()
}
