// Package channel is the one connection between a runtime helper and the agent
// in its virtual machine: a multiplexed session over the bytes of a virtio-serial
// port, or over a socket between guest and host (vsock(7)) that they agree on by
// the port.
//
// A port has no beginning and no end that both sides see: bytes of an earlier
// connection may be in it, and the guest can miss that the host was away. So the
// host says hello again and again with a number of its own, the guest repeats it
// once, and both drop all else until the other's has come. Then the host says which
// way the session takes. Only helper and agent have the ends of the port, so that
// whoever knows the number is one of them.
package channel

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
)

// protocol is the version of the handshake and of the service behind it. Helper
// and agent come from one build; a difference means a mixed installation.
const protocol = "2"

// PortName is the name of the virtio-serial port.
const PortName = "patchbay"

// helloInterval is how often the host says hello: the guest gives no sign of
// having come up.
const helloInterval = 100 * time.Millisecond

// maxLine bounds a line of the handshake: whatever else is in the port is not ours.
const maxLine = 256

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	// A machine that is paused, or gets no processor, is not a dead one. The end of
	// the machine is the end of the connection.
	c.EnableKeepAlive = false
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = 0
	c.ConnectionWriteTimeout = time.Minute
	c.MaxStreamWindowSize = 4 << 20
	c.LogOutput = io.Discard
	return c
}

// Greeting is an agent that waits for a session to begin, at the host's side. It
// does so by whatever connection: a guest that is saved now is greeted again when it
// goes on.
type Greeting struct {
	port   net.Conn
	reader *bufio.Reader // of the port; it may have read ahead
	nonce  string
}

// Greet waits for the agent at the other end of a virtio-serial port. The end of ctx
// closes the port.
func Greet(ctx context.Context, port net.Conn) (*Greeting, error) {
	g := &Greeting{port: port, reader: bufio.NewReaderSize(port, maxLine), nonce: rand.Text()}
	if err := g.greet(ctx); err != nil {
		return nil, lost(err)
	}
	return g, nil
}

// lost says of whom an error is. That the port has ended, as it does with the machine,
// is errdefs.ErrUnavailable.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the guest has ended before its agent answered: %w", errdefs.ErrUnavailable)
	}
	return fmt.Errorf("agent in the guest: %w", err)
}

// Connect is Greet and Begin.
func Connect(ctx context.Context, port net.Conn) (*yamux.Session, error) {
	g, err := Greet(ctx, port)
	if err != nil {
		return nil, err
	}
	return g.Begin()
}

// Begin begins the session over the port. The host is its client.
func (g *Greeting) Begin() (*yamux.Session, error) {
	if _, err := io.WriteString(g.port, "GO "+g.nonce+"\n"); err != nil {
		return nil, lost(err)
	}
	return yamux.Client(&buffered{Conn: g.port, reader: g.reader}, config())
}

// greet says hello until the agent has answered.
func (g *Greeting) greet(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { g.port.Close() })()
	heard := make(chan struct{})
	told := make(chan error, 1)
	go func() { told <- repeatHello(g.port, g.nonce, heard) }()
	err := awaitLine(g.reader, g.hello())
	close(heard)
	if helloErr := <-told; err == nil {
		err = helloErr
	}
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	return nil
}

// hello is the line that says who speaks.
func (g *Greeting) hello() string { return "HELLO " + protocol + " " + g.nonce }

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
// server the guest is. Port is the virtio-serial port; dial connects to a port of the
// host by a socket, where the host wants that.
func Accept(port io.ReadWriteCloser, dial func(port uint32) (net.Conn, error)) (*yamux.Session, error) {
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
		case len(fields) == 3 && fields[0] == "DIAL" && fields[1] == nonce:
			conn, err := detour(fields[2], nonce, dial)
			if err == nil {
				return yamux.Server(conn, config())
			}
			if _, err := io.WriteString(port, cannot(nonce, err)); err != nil {
				return nil, err
			}
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
