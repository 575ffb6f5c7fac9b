package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadLogTail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40<<10)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "line %d\n", i)
	}
	tests := map[string]struct {
		content string
		tail    int64
		want    string
	}{
		"all":                  {"a\nb\n", -1, "a\nb\n"},
		"none":                 {"a\nb\n", 0, ""},
		"last":                 {"a\nb\n", 1, "b\n"},
		"last is unfinished":   {"a\nb", 1, "b"},
		"two of two":           {"a\nb\n", 2, "a\nb\n"},
		"more than there are":  {"a\nb\n", 9, "a\nb\n"},
		"empty":                {"", 3, ""},
		"empty lines count":    {"a\n\n\n", 2, "\n\n"},
		"longer than a block":  {"a\n" + long + "\n" + long + "\n", 2, long + "\n" + long + "\n"},
		"across many blocks":   {many.String(), 2, "line 9998\nline 9999\n"},
		"all, across blocks":   {many.String(), 10_000, many.String()},
		"none when unfinished": {"a\nb", 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := ReadLog(t.Context(), &out, path, LogOptions{Tail: tt.tail}); err != nil || out.String() != tt.want {
				t.Errorf("got %d bytes, %v, want %d: %.80q", out.Len(), err, len(tt.want), out.String())
			}
		})
	}
}

// collector tells of every write.
type collector chan string

func (c collector) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

func TestReadLogFollows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, stop := context.WithCancel(t.Context())
	out, done := make(collector), make(chan error)
	go func() { done <- ReadLog(ctx, out, path, LogOptions{Tail: -1, Follow: true}) }()
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := file.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if got := <-out; got != line {
			t.Errorf("got %q, want %q", got, line)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
