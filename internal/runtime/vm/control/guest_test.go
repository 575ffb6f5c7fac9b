//go:build guest

package control

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/mdlayher/vsock"
)

// The sockets of a real kernel, within one machine (vsock(7), VMADDR_CID_LOCAL): an
// integration test runs this in a guest, whose kernel has them whatever the host's.
func TestConnectBySocketsOfTheKernel(t *testing.T) {
	l, err := listen(vsock.Local)
	if err != nil {
		t.Fatal(err)
	}
	port, guestPort := net.Pipe()
	way := &Way{endpoint: &Endpoint{File: null(t), CID: vsock.Local, listener: l}, wanted: true}
	defer way.Close()
	guest(t, guestPort, func(port uint32) (net.Conn, error) { return vsock.Dial(vsock.Local, port, nil) })
	session, status, err := way.Connect(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stream, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.CopyN(stream, zeroes{}, 8<<20) }()
	n, err := io.CopyN(io.Discard, stream, 8<<20)
	fmt.Println("carried", n, err, status.Channel)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }
