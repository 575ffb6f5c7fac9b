package channel

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
)

// drainTimeout is for what is still to be read of a session whose machine has gone: the
// kernel ends its socket, and this is for one that does not.
const drainTimeout = 2 * time.Second

// ErrNoDetour is that the agent cannot connect to the host: it still waits for a
// session.
var ErrNoDetour = errors.New("the guest cannot connect to the host")

// Detour begins the session over a connection that the agent makes to a port of the
// host; accept returns those that come, of this guest alone. That the agent cannot
// make one is ErrNoDetour with its words. The end of ctx closes the port.
func (g *Greeting) Detour(ctx context.Context, port uint32, accept func(context.Context) (net.Conn, error)) (*yamux.Session, error) {
	defer context.AfterFunc(ctx, func() { g.port.Close() })()
	if _, err := fmt.Fprintf(g.port, "DIAL %s %d\n", g.nonce, port); err != nil {
		return nil, lost(err)
	}
	accepting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop(g.refusal())
	}()
	conn, err := g.accept(accepting, accept)
	if err != nil {
		if cause := context.Cause(accepting); cause != nil {
			<-ended // the port is nobody's again
			err = cause
		}
		return nil, lost(err)
	}
	go func() {
		<-ended // with the machine
		time.AfterFunc(drainTimeout, func() { conn.Close() })
	}()
	return yamux.Client(conn, config())
}

// refusal reads the port until the agent says that it cannot dial, or until its end.
func (g *Greeting) refusal() error {
	for {
		line, err := g.reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		if why, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "CANNOT "+g.nonce+" "); ok {
			return fmt.Errorf("%w: %s: %w", ErrNoDetour, why, errdefs.ErrUnavailable)
		}
	}
}

// accept returns the first connection that says hello.
func (g *Greeting) accept(ctx context.Context, accept func(context.Context) (net.Conn, error)) (net.Conn, error) {
	for {
		conn, err := accept(ctx)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		reader := bufio.NewReaderSize(conn, maxLine)
		if err = awaitLine(reader, g.hello()); err == nil && stop() {
			return &buffered{Conn: conn, reader: reader}, nil
		}
		conn.Close()
		if ctx.Err() != nil || errdefs.IsFailedPrecondition(err) {
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
}

// detour is the guest's connection to a port of the host.
func detour(port, nonce string, dial func(port uint32) (net.Conn, error)) (net.Conn, error) {
	number, err := strconv.ParseUint(port, 10, 32)
	if err != nil {
		return nil, err
	}
	conn, err := dial(uint32(number))
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "HELLO "+protocol+" "+nonce+"\n"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// cannot is the line that says why there is no connection to the host.
func cannot(nonce string, err error) string {
	line := "CANNOT " + nonce + " " + strings.Join(strings.Fields(err.Error()), " ")
	return line[:min(len(line), maxLine-2)] + "\n"
}
