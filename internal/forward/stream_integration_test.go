//go:build integration

package forward

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What comes in pieces of any size arrives as it was sent, both ways: requests, streams,
// and streams that become requests again.
func TestContents(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(net.Conn) net.Conn{
		"sockets of the kernel": func(c net.Conn) net.Conn { return c },
		"other connections":     func(c net.Conn) net.Conn { return noSocket{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testContents(t, other)
		})
	}
}

func testContents(t *testing.T, other func(net.Conn) net.Conn) {
	w := newWorld(t)
	w.serve(t, func(c *net.TCPConn) {
		io.Copy(c, c)
		c.Close()
	})
	w.forwardBy(t, "tcp", other)
	c := w.call(t, "tcp", "127.0.0.1:1000")
	random := rand.New(rand.NewPCG(1, 2))
	const pipe = 64 << 10 // what splice(2) moves at once
	piece := make([]byte, 3<<20)
	for i := range piece {
		piece[i] = byte(random.Uint32())
	}
	for _, size := range []int{1, pipe - 1, pipe, pipe + 1, 100, len(piece) / 3, 7, len(piece), 1} {
		sent := piece[:size]
		go c.Write(sent)
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes: error %v, the same: %t", size, err, bytes.Equal(got, sent))
		}
	}
	c.(*net.TCPConn).CloseWrite()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

// noSocket is a connection such as one into a machine is, but for who ends it.
type noSocket struct{ net.Conn }

func (c noSocket) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// The end of a sandbox does not wait for a side that reads nothing.
func TestCloseWhileStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := make(chan struct{})
	w.serve(t, func(c *net.TCPConn) {
		<-hold
		c.Close()
	})
	defer close(hold)
	s := w.forward(t, "tcp")
	c := w.call(t, "tcp", "127.0.0.1:1000")
	stuck := make(chan error)
	go func() {
		_, err := c.Write(make([]byte, 64<<20))
		stuck <- err
	}()
	s.Close()
	if err := <-stuck; err == nil {
		t.Error("all was taken, though nobody reads")
	}
}

// BenchmarkRequests is a request of 100 bytes and an answer of as many, with the processor
// time of all who take part.
func BenchmarkRequests(b *testing.B) {
	w := newWorld(b)
	w.serve(b, func(c *net.TCPConn) {
		io.Copy(c, c)
		c.Close()
	})
	w.forward(b, "tcp")
	c := w.call(b, "tcp", "127.0.0.1:1000")
	c.SetDeadline(time.Time{}) // none
	message := make([]byte, 100)
	before := processorTime(b)
	for b.Loop() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, message); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is that of this process so far, in nanoseconds.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
