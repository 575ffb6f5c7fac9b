package hangup_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"patchbay.dev/patchbay/internal/rpc/hangup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two sides of a connection over a unix socket.
func pair(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return accepted.(*net.UnixConn), dialed.(*net.UnixConn)
}

func watch(t *testing.T, w *hangup.Watcher, c net.Conn) (s *hangup.Socket, gone chan struct{}) {
	t.Helper()
	gone = make(chan struct{}, 2)
	s, err := w.Watch(c, func() { gone <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	return s, gone
}

// What is sent arrives; who does not take it is given up, and nobody waits for it.
func TestSend(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, theirs := pair(t)
	s, gone := watch(t, &w, ours)
	if !s.Send([]byte("hello")) || !s.Send([]byte(" again")) {
		t.Error("the connection has ended")
	}
	got := make([]byte, len("hello again"))
	if _, err := io.ReadFull(theirs, got); err != nil || string(got) != "hello again" {
		t.Errorf("got %q, %v, want both", got, err)
	}
	if !s.Send(make([]byte, 64<<20)) {
		t.Error("the connection has ended")
	}
	<-gone
	if s.Send([]byte("more")) {
		t.Error("sent on a connection that has ended")
	}
	if n, err := io.Copy(io.Discard, theirs); n >= 64<<20 || err != nil {
		t.Errorf("got %d bytes, %v, want a part of them and the end", n, err)
	}
}

// What the other side sends tells nothing; its end does, once, of this connection alone.
func TestGone(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, theirs := pair(t)
	stay, stays := pair(t)
	s, gone := watch(t, &w, ours)
	_, other := watch(t, &w, stay)
	for _, c := range []net.Conn{theirs, stays} {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	theirs.Close()
	<-gone
	if s.End([]byte("bye")) {
		t.Error("what has ended was ended once more")
	}
	if len(gone) > 0 || len(other) > 0 {
		t.Errorf("told of %d ends more, and of %d of the other connection, want none", len(gone), len(other))
	}
}

// A side that sends no more has ended the connection.
func TestHalfAnEnd(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, theirs := pair(t)
	_, gone := watch(t, &w, ours)
	if err := theirs.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-gone
}

// The other side gets the last bytes and the end; nobody is told of one's own end.
func TestEnd(t *testing.T) {
	var w hangup.Watcher
	ours, theirs := pair(t)
	s, gone := watch(t, &w, ours)
	if !s.End([]byte("bye")) {
		t.Error("the connection has ended already")
	}
	if got, err := io.ReadAll(theirs); string(got) != "bye" || err != nil {
		t.Errorf("the other side got %q, %v, want bye", got, err)
	}
	w.Close()
	if len(gone) > 0 {
		t.Error("told of an end that was ours")
	}
}

func TestClose(t *testing.T) {
	var w hangup.Watcher
	ours, theirs := pair(t)
	_, gone := watch(t, &w, ours)
	w.Close()
	if len(gone) != 1 {
		t.Errorf("told %d times of the end, want once", len(gone))
	}
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	again, _ := pair(t)
	if _, err := w.Watch(again, func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want closed", err)
	}
	if _, err := again.Write([]byte("x")); err != nil {
		t.Errorf("the connection is not as before: %v", err)
	}
}

func TestNoSocket(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if _, err := w.Watch(ours, func() {}); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("got %v, want not implemented", err)
	}
}

// One goroutine watches all.
func TestOneGoroutine(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, _ := pair(t)
	watch(t, &w, ours)
	before := runtime.NumGoroutine()
	for range 20 {
		ours, _ := pair(t)
		watch(t, &w, ours)
	}
	if now := runtime.NumGoroutine(); now > before { // one of another test may have ended
		t.Errorf("%d goroutines for 21 connections, %d for one", now, before)
	}
}

// Of a connection that is its caller's one is told, while that reads and closes it.
func TestNotice(t *testing.T) {
	var w hangup.Watcher
	defer w.Close()
	ours, theirs := pair(t)
	gone := make(chan struct{}, 2)
	mark := w.Notice(ours, func() { gone <- struct{}{} })
	if _, err := theirs.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(ours, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	theirs.Close()
	<-gone
	mark.Forget()

	ours, theirs = pair(t)
	mark = w.Notice(ours, func() { t.Error("told of what was to be forgotten") })
	mark.Forget()
	theirs.Close()
	if _, err := ours.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	ours.Close()
	w.Notice(ours, func() { t.Error("told of a connection that was closed before") }).Forget()

	ours, theirs = pair(t)
	w.Notice(ours, func() { t.Error("told by Close") })
	w.Close()
	if _, err := theirs.Write([]byte("still")); err != nil {
		t.Error(err)
	}
}
