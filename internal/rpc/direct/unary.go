package direct

import (
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
