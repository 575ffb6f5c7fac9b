package direct

import (
	"errors"
	"io"
	"sync"
)

// unary is a call with one message to and one fro.
type unary struct {
	call
	mu       sync.Mutex
	exchange *exchange // guarded by mu; nil before the request was sent, and after the answer
}

func (u *unary) SendHeaders() error { return nil } // they go with the message
func (u *unary) CloseSend() error   { return nil } // so does the end

// Send sends the whole request.
func (u *unary) Send(message any) error {
	body, err := u.marshal(nil, message)
	if err != nil {
		return err
	}
	request, err := u.head(u.contentUnary(), len(body))
	if err != nil {
		return err
	}
	x, err := u.call.exchange(append(request, body...))
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.exchange = x
	return nil
}

// take returns the exchange, which is its caller's to end.
func (u *unary) take() *exchange {
	u.mu.Lock()
	defer u.mu.Unlock()
	x := u.exchange
	u.exchange = nil
	return x
}

// Receive reads the answer.
func (u *unary) Receive(message any) error {
	x := u.take()
	if x == nil {
		return io.EOF
	}
	a, err := readAnswer(x.conn.r)
	if l, ok := u.asList(message); ok && err == nil && a.status == 200 && a.contentType == u.contentUnary() {
		l.SetBody(&pieces{exchange: x, answer: a})
		return nil
	}
	var data []byte
	if err == nil {
		data, err = a.read()
	}
	if err != nil {
		x.abandon()
		return u.failure(err)
	}
	x.finish(a.lasting)
	if err := u.refusal(a, u.contentUnary(), data); err != nil {
		return u.failure(err)
	}
	return u.unmarshalLast(data, message)
}

// Close gives up a call that was not answered.
func (u *unary) Close() error {
	if x := u.take(); x != nil {
		x.abandon()
	}
	return nil
}

// pieces is the body of an answer that is read by somebody who calls no more.
type pieces struct {
	*exchange // nil after its end
	answer    answer
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if p.exchange == nil {
		return 0, io.EOF
	}
	n, err := p.answer.body.Read(b)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		p.finish(p.answer.lasting)
		p.exchange = nil
	default:
		p.abandon()
		err, p.exchange = p.failure(err), nil
	}
	return n, err
}
