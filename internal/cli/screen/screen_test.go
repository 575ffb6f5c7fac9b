package screen

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// On no terminal texts are blocks, and there is nothing to clean.
func TestBlocks(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := New(&out)
	for _, text := range []string{"a\nb\n", "c\n"} {
		if err := s.Show(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil || out.String() != "a\nb\n\nc\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestRedraw(t *testing.T) {
	t.Parallel()
	width, height := 10, 5
	var out strings.Builder
	s := &Screen{out: &out, size: func() (int, int) { return width, height }}
	show := func(when, text, want string) {
		t.Helper()
		out.Reset()
		if err := s.Show(text); err != nil || out.String() != want {
			t.Errorf("%s: got\n%q, %v, want\n%q", when, out.String(), err, want)
		}
	}
	if err := s.Close(); err != nil || out.Len() > 0 {
		t.Errorf("nothing was shown: %q, %v", out.String(), err)
	}
	show("first", "a\nb\n", "\ra\x1b[K\n\rb\x1b[K\n\x1b[J")
	show("shorter", "c\n", "\x1b[2A\rc\x1b[K\n\x1b[J")
	show("wide", "0123456789äb\n", "\x1b[1A\r0123456789\x1b[K\n\x1b[J")
	show("high", "1\n2\n3\n4\n", "\x1b[1A\r1\x1b[K\n\r2\x1b[K\n\r3\x1b[K\n\r4\x1b[K\n\x1b[J")
	show("too high", "1\n2\n3\n4\n5\n", "\x1b[4A\r1\x1b[K\n\r2\x1b[K\n\r3\x1b[K\n\r… 2 more\x1b[K\n\x1b[J")
	width = 4
	show("on a narrower terminal", "0123456789\n", "\x1b[H\x1b[J\r0123\x1b[K\n\x1b[J")
	width, height = 0, 0
	show("on a terminal of no known size", "0123456789\n", "\x1b[H\x1b[J\r0123456789\x1b[K\n\x1b[J")
	out.Reset()
	if err := s.Close(); err != nil || out.String() != "\r\x1b[K" {
		t.Errorf("closed: %q, %v", out.String(), err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWritersThatFail(t *testing.T) {
	t.Parallel()
	for _, s := range []*Screen{New(broken{}), {out: broken{}, size: func() (int, int) { return 80, 25 }}} {
		if err := s.Show("a\n"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
	}
}
