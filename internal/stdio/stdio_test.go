package stdio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/stdio"
)

// process is what a hub sees of one: the other ends of its streams.
type process struct {
	hub            *stdio.Hub
	stdin          *os.File // what it reads
	stdout, stderr *os.File // what it writes
	log            *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }

func (b *buffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func newProcess(t *testing.T, c stdio.HubConfig) *process {
	t.Helper()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		return r, w
	}
	p := &process{log: &buffer{}}
	var in, out, errOut *os.File
	p.stdin, in = pipe()
	out, p.stdout = pipe()
	errOut, p.stderr = pipe()
	c.Stdin, c.Stdout, c.Stderr = in, p.log, p.log
	p.hub = stdio.NewHub(c)
	p.hub.Copy(false, out)
	p.hub.Copy(true, errOut)
	return p
}

// exit ends the process as its helper does.
func (p *process) exit(code int) {
	p.stdout.Close()
	p.stderr.Close()
	p.hub.ProcessEnded()
	p.hub.Drain()
	p.hub.Finish(stdio.Exit{Code: code})
}

func serve(t *testing.T) (*stdio.Server, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "stdio")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := stdio.Serve(l, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s, path
}

type result struct {
	exit stdio.Exit
	err  error
}

func attach(ctx context.Context, path, process string, s stdio.Streams) <-chan result {
	done := make(chan result, 1)
	go func() {
		exit, err := stdio.Attach(ctx, path, process, s)
		done <- result{exit, err}
	}()
	return done
}

func TestAttach(t *testing.T) {
	t.Parallel()
	server, path := serve(t)
	p := newProcess(t, stdio.HubConfig{AwaitAttach: time.Hour})
	server.Add("", p.hub)
	go func() { // cat, to both streams
		data, _ := io.ReadAll(p.stdin)
		_, _ = p.stdout.Write(data)
		_, _ = p.stderr.WriteString("done\n")
		p.exit(3)
	}()
	// More than a pipe, a frame and a queue hold.
	input := strings.Repeat("0123456789abcdef", 1<<16)
	var out, errOut buffer
	got := <-attach(t.Context(), path, "", stdio.Streams{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errOut})
	if got.err != nil || got.exit.Code != 3 {
		t.Errorf("attach = %+v, want code 3", got)
	}
	if out.String() != input || errOut.String() != "done\n" {
		t.Errorf("output of %d bytes, errors %q; want the %d of the input", len(out.String()), errOut.String(), len(input))
	}
	if n := len(p.log.String()); n != len(input)+len("done\n") {
		t.Errorf("log has %d bytes, want all", n)
	}
}

func TestHoldBack(t *testing.T) {
	t.Parallel()
	t.Run("output is for who attaches later", func(t *testing.T) {
		t.Parallel()
		server, path := serve(t)
		p := newProcess(t, stdio.HubConfig{AwaitAttach: time.Hour})
		server.Add("", p.hub)
		_, _ = p.stdout.WriteString("early\n")
		ended := make(chan struct{})
		go func() { p.exit(0); close(ended) }()
		var out buffer
		if got := <-attach(t.Context(), path, "", stdio.Streams{Stdout: &out}); got.err != nil || out.String() != "early\n" {
			t.Errorf("attach = %+v with %q, want early output", got, out.String())
		}
		<-ended
	})
	t.Run("nobody comes", func(t *testing.T) {
		t.Parallel()
		p := newProcess(t, stdio.HubConfig{AwaitAttach: time.Millisecond})
		_, _ = p.stdout.WriteString("x")
		p.exit(0)
		if p.log.String() != "x" {
			t.Errorf("log = %q, want x", p.log.String())
		}
	})
	t.Run("released", func(t *testing.T) {
		t.Parallel()
		p := newProcess(t, stdio.HubConfig{AwaitAttach: time.Hour})
		p.hub.Release()
		p.exit(0)
	})
}

// TestSlowCaller: one that reads nothing is dropped; the process and another
// caller go on.
func TestSlowCaller(t *testing.T) {
	t.Parallel()
	server, path := serve(t)
	p := newProcess(t, stdio.HubConfig{AwaitAttach: time.Hour, Stall: 50 * time.Millisecond})
	server.Add("", p.hub)
	slow, unblock := io.Pipe() // nobody reads from slow
	defer slow.Close()
	slowDone := attach(t.Context(), path, "", stdio.Streams{Stdout: unblock})
	var out buffer
	done := attach(t.Context(), path, "", stdio.Streams{Stdout: &out})
	const size = 8 << 20
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = p.stdout.Write(bytes.Repeat([]byte("x"), size))
	}()
	<-written // the process was not blocked for ever
	p.exit(0)
	<-done
	if len(p.log.String()) != size {
		t.Errorf("log has %d bytes, want %d", len(p.log.String()), size)
	}
	slow.Close()
	if got := <-slowDone; got.err == nil {
		t.Errorf("the slow session = %+v, want an error", got)
	}
}

// late is a source whose reader always comes too late for its deadline, as on a busy machine.
type late struct{ *os.File }

func (l late) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		at = time.Unix(1, 0)
	}
	return l.File.SetReadDeadline(at)
}

// TestLateReader: what a process has written is passed on, however long nobody reads it after
// its end.
func TestLateReader(t *testing.T) {
	t.Parallel()
	server, path := serve(t)
	var log buffer
	hub := stdio.NewHub(stdio.HubConfig{Stdout: &log, AwaitAttach: time.Hour})
	server.Add("", hub)
	source, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close(); stdout.Close() })
	hub.Copy(false, late{source})
	words := strings.Repeat("last words ", 5000) // more than is read at once, and less than a pipe holds
	if _, err := stdout.WriteString(words); err != nil {
		t.Fatal(err)
	}
	hub.ProcessEnded() // somebody else keeps the output open
	var out buffer
	done := attach(t.Context(), path, "", stdio.Streams{Stdout: &out})
	hub.Drain()
	hub.Finish(stdio.Exit{})
	if got := <-done; got.err != nil || out.String() != words || log.String() != words {
		t.Errorf("attach = %+v with %d bytes, %d in the log; want %d", got, len(out.String()), len(log.String()), len(words))
	}
}

// TestInheritedOutput: a process that has ended is not waited for by the ends of
// its output that others hold.
func TestInheritedOutput(t *testing.T) {
	t.Parallel()
	p := newProcess(t, stdio.HubConfig{})
	_, _ = p.stdout.WriteString("last words")
	p.hub.ProcessEnded() // stdout and stderr stay open
	p.hub.Drain()
	if p.log.String() != "last words" {
		t.Errorf("log = %q, want the last words", p.log.String())
	}
}

func TestAttachErrors(t *testing.T) {
	t.Parallel()
	t.Run("no helper", func(t *testing.T) {
		t.Parallel()
		if got := <-attach(t.Context(), filepath.Join(t.TempDir(), "s"), "", stdio.Streams{}); !errors.Is(got.err, errdefs.ErrUnavailable) {
			t.Errorf("error = %v, want unavailable", got.err)
		}
	})
	t.Run("no process", func(t *testing.T) {
		t.Parallel()
		_, path := serve(t)
		if got := <-attach(t.Context(), path, "exec9", stdio.Streams{}); !errors.Is(got.err, errdefs.ErrNotFound) {
			t.Errorf("error = %v, want not found", got.err)
		}
	})
	t.Run("helper goes away", func(t *testing.T) {
		t.Parallel()
		server, path := serve(t)
		p := newProcess(t, stdio.HubConfig{})
		server.Add("", p.hub)
		seen := make(chan struct{})
		done := attach(t.Context(), path, "", stdio.Streams{Stdout: writeFunc(func() { close(seen) })})
		for attached := false; !attached; { // until the session has joined
			_, _ = p.stdout.WriteString("x")
			select {
			case <-seen:
				attached = true
			default:
			}
		}
		server.Close()
		if got := <-done; !errors.Is(got.err, errdefs.ErrUnavailable) {
			t.Errorf("error = %v, want unavailable", got.err)
		}
	})
	t.Run("after the end", func(t *testing.T) {
		t.Parallel()
		server, path := serve(t)
		p := newProcess(t, stdio.HubConfig{})
		server.Add("", p.hub)
		p.exit(4)
		if got := <-attach(t.Context(), path, "", stdio.Streams{}); got.err != nil || got.exit.Code != 4 {
			t.Errorf("attach = %+v, want code 4", got)
		}
	})
	t.Run("detached by the caller", func(t *testing.T) {
		t.Parallel()
		server, path := serve(t)
		p := newProcess(t, stdio.HubConfig{})
		server.Add("", p.hub)
		ctx, cancel := context.WithCancel(t.Context())
		done := attach(ctx, path, "", stdio.Streams{})
		cancel()
		if got := <-done; !errors.Is(got.err, context.Canceled) {
			t.Errorf("error = %v, want canceled", got.err)
		}
	})
}

// writeFunc calls itself at the first write.
func writeFunc(f func()) io.Writer { return &onceWriter{f: sync.OnceFunc(f)} }

type onceWriter struct{ f func() }

func (w *onceWriter) Write(p []byte) (int, error) { w.f(); return len(p), nil }

// TestGarbage: whatever a caller sends, the server goes on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	server, path := serve(t)
	p := newProcess(t, stdio.HubConfig{})
	server.Add("", p.hub)
	for _, garbage := range []string{"", "x", "\x01\xff\xff\xff\xff", "\x01\x00\x00\x00\x02{]", "\x02\x00\x00\x00\x01a", "\x01\x00\x00\x00\x02{}\x63\x00\x00\x00\x00\x02\xff\xff\xff\xff"} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(garbage))
		conn.(*net.UnixConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	done := attach(t.Context(), path, "", stdio.Streams{})
	p.exit(0)
	if got := <-done; got.err != nil {
		t.Errorf("attach after garbage: %v", got.err)
	}
}
