//go:build integration

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"patchbay.dev/patchbay/resource"
)

// Who is connected by the forwarder hears of its death, with as much under way both ways as there is room for,
// and the container's next helper forwards again.
func TestDeathOfForwarder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.up()
	h.patchbay("network", "create", "closed", "--internal") // whose ports nothing else forwards
	h.run(append([]string{"--name", "server", "--network", "closed", "-p", "7001:7000", "box"}, echoCommand...)...)
	const at = "127.0.0.1:7001"
	openStream(t, h.ns, h.attachment("server", "closed").IPv4Address.Addr()) // it listens
	calm := openStreamTo(t, h.ns, at)
	stuck := fill(t, h, at)
	before := h.container("server").Status

	kill(t, before.HelperPID)
	stuck.SetDeadline(time.Now().Add(settle))
	if _, err := io.Copy(io.Discard, stuck); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connection that is full: got %v, want its end", err)
	}
	select {
	case <-calm.done:
		if errors.Is(calm.err, os.ErrDeadlineExceeded) {
			t.Errorf("connection in use: got %v, want its end", calm.err)
		}
	case <-time.After(settle):
		t.Error("connection in use: goes on without a forwarder")
	}
	eventually(t, settle, func() error {
		if s := h.container("server").Status; s.State != resource.ContainerStopped {
			return fmt.Errorf("got %+v, want it stopped", s)
		}
		return nil
	})
	h.cannotCall(h.ns, at)

	h.patchbay("start", "server")
	openStream(t, h.ns, h.attachment("server", "closed").IPv4Address.Addr())
	openStreamTo(t, h.ns, at).alive(t)
}

// fill connects to a server that sends back what it gets, and writes until nobody takes more.
func fill(t *testing.T, h *host, to string) (c net.Conn) {
	t.Helper()
	if err := h.ns.Do(func() (err error) { c, err = net.DialTimeout("tcp", to, settle); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const pause = time.Second // in which all would have taken more
	data := make([]byte, 1<<20)
	for {
		c.SetWriteDeadline(time.Now().Add(pause))
		_, err := c.Write(data)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
