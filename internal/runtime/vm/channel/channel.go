// Package channel is the one connection between a runtime helper and the agent
// in its virtual machine: a multiplexed session over the bytes of a virtio-serial
// port.
//
// A port has no beginning and no end that both sides see: bytes of an earlier
// connection may be in it, and the guest can miss that the host was away. So the
// host says hello again and again with a number of its own, the guest repeats it
// once, and both drop all else until the other's has come.
package channel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
)

// protocol is the version of the handshake and of the service behind it. Helper
// and agent come from one build; a difference means a mixed installation.
const protocol = "1"

// PortName is the name of the virtio-serial port.
const PortName = "patchbay"

// helloInterval is how often the host says hello: the guest gives no sign of
// having come up.
const helloInterval = 100 * time.Millisecond

// maxLine bounds a line of the handshake: whatever else is in the port is not ours.
const maxLine = 256

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false // a paused machine is not a dead one
	c.ConnectionWriteTimeout = time.Minute
	c.MaxStreamWindowSize = 4 << 20
	c.LogOutput = io.Discard
	return c
}

// Connect is the host's side: it waits for the agent and returns the session,
// whose client the host is. The end of ctx closes the connection.
func Connect(ctx context.Context, conn net.Conn) (*yamux.Session, error) {
	nonce, reader, err := greet(ctx, conn)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "GO "+nonce+"\n"); err != nil {
		return nil, fmt.Errorf("agent in the guest: %w", err)
	}
	return yamux.Client(&buffered{Conn: conn, reader: reader}, config())
}

// Await returns when the agent waits for a session to begin. It then does so, by
// whatever connection: a guest that is saved now takes part in a Connect when it
// goes on. The end of ctx closes the connection.
func Await(ctx context.Context, conn net.Conn) error {
	_, _, err := greet(ctx, conn)
	return err
}

// greet says hello until the agent has answered, with the nonce that is returned.
// What is read beyond its answer is in the reader.
func greet(ctx context.Context, conn net.Conn) (nonce string, reader *bufio.Reader, err error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	nonce = rand.Text()
	heard := make(chan struct{})
	told := make(chan error, 1)
	go func() { told <- repeatHello(conn, nonce, heard) }()
	reader = bufio.NewReaderSize(conn, maxLine)
	err = awaitLine(reader, "HELLO "+protocol+" "+nonce)
	close(heard)
	if helloErr := <-told; err == nil {
		err = helloErr
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", nil, fmt.Errorf("agent in the guest: %w", err)
	}
	return nonce, reader, nil
}

func repeatHello(conn net.Conn, nonce string, heard <-chan struct{}) error {
	ticker := time.NewTicker(helloInterval)
	defer ticker.Stop()
	for {
		if _, err := io.WriteString(conn, "\nHELLO "+protocol+" "+nonce+"\n"); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-heard:
			return nil
		}
	}
}

// awaitLine reads until a line is want. One that is the same but for the version
// is errdefs.ErrFailedPrecondition.
func awaitLine(r *bufio.Reader, want string) error {
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		got := string(bytes.TrimRight(line, "\r\n"))
		if got == want {
			return nil
		}
		if strings.HasPrefix(got, "HELLO ") && strings.HasSuffix(got, want[strings.LastIndexByte(want, ' '):]) {
			return fmt.Errorf("speaks another version of the protocol (%q): install runtime and agent of one build: %w", got, errdefs.ErrFailedPrecondition)
		}
	}
}

// Accept is the guest's side: it waits for the host and returns the session, whose
// server the guest is. Port is the virtio-serial port.
func Accept(port io.ReadWriteCloser) (*yamux.Session, error) {
	reader := bufio.NewReaderSize(port, maxLine)
	var nonce string
	for {
		line, err := reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch fields := strings.Fields(string(line)); {
		case len(fields) == 3 && fields[0] == "HELLO" && fields[2] != nonce:
			nonce = fields[2]
			if _, err := io.WriteString(port, "\nHELLO "+protocol+" "+nonce+"\n"); err != nil {
				return nil, err
			}
		case len(fields) == 2 && fields[0] == "GO" && fields[1] == nonce:
			return yamux.Server(&bufferedPort{ReadWriteCloser: port, reader: reader}, config())
		}
	}
}

// buffered reads first what the handshake has read ahead.
type buffered struct {
	net.Conn
	reader *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }

type bufferedPort struct {
	io.ReadWriteCloser
	reader *bufio.Reader
}

func (b *bufferedPort) Read(p []byte) (int, error) { return b.reader.Read(p) }
