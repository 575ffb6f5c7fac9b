package channel

import (
	"net"
	"testing"
)

// A call of a guest that never answers ends with its time, at which its stream is closed.
func TestCloseEndsAReadThatWaits(t *testing.T) {
	t.Parallel()
	host, guest := net.Pipe()
	accepted := make(chan error, 1)
	go func() {
		session, err := Accept(guest, nil)
		if err == nil {
			_, err = session.Accept()
		}
		accepted <- err
	}()
	session, err := Connect(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	call, err := Call(session)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := call.Read(make([]byte, 1))
		ended <- err
	}()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if err := call.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("something was read of a guest that says nothing")
	}
}
