package main

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// accept serves one kind of connections at a port of the loopback interface.
func accept(t *testing.T, answer func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return l.Addr()
}

func TestRequests(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
	at := accept(t, func(c net.Conn) {
		defer c.Close()
		question := make([]byte, len(question))
		for {
			if _, err := io.ReadFull(c, question); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
	})
	f, err := request(at.String(), 20*time.Millisecond, 3)
	if err != nil || f.RequestsPerSecond <= 0 || f.P99 <= 0 {
		t.Errorf("got %+v, %v, want figures", f, err)
	}
}

// An error of the server is not counted as a fast answer.
func TestRequestsOfWhatFails(t *testing.T) {
	t.Parallel()
	at := accept(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
	})
	if _, err := request(at.String(), time.Second, 1); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v, want its status", err)
	}
	closed := accept(t, func(c net.Conn) { c.Close() })
	if _, err := request(closed.String(), time.Second, 1); err == nil {
		t.Error("a connection that is closed: want an error")
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	at := accept(t, func(c net.Conn) { onThread(c, echo) })
	c, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	one := make([]byte, 2)
	if _, err := io.WriteString(c, "ab"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, one); err != nil || string(one) != "ab" {
		t.Errorf("echo: %q, %v", one, err)
	}

	at = accept(t, func(c net.Conn) { onThread(c, sink) })
	stream, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	io.WriteString(stream, strings.Repeat("x", 1000))
	stream.(*net.TCPConn).CloseWrite()
	count, err := io.ReadAll(stream)
	if err != nil || string(count) != "\x00\x00\x00\x00\x00\x00\x03\xe8" {
		t.Errorf("sink: %x, %v, want 1000", count, err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"send"}, {"send", "a"}, {"send", "a", "x"}, {"bounce", "a", "b", "c"}, {"request", "a", "1s"}, {"fly", "a", "1"}} {
		if err := run(args); err == nil {
			t.Errorf("%v: want an error", args)
		}
	}
}

func TestCongestionControl(t *testing.T) {
	t.Parallel()
	l, err := listen("tcp", "0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := dial(net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Addr().(*net.TCPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for end, c := range map[string]net.Conn{"client": client, "server": server} {
		file, err := c.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, err := unix.GetsockoptString(int(file.Fd()), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err != nil || got != congestionControl {
			t.Errorf("%s: congestion control %q, %v, want %q", end, got, err, congestionControl)
		}
	}
}
