package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConsole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*tailText)
	for name, tt := range map[string]struct{ said, tail, panicked string }{
		"nothing":    {"", "", ""},
		"little":     {"a\r\n\r\nb\n", "a; b", ""},
		"much":       {strings.Repeat("a\n", tailBytes) + "b\n \nc\nd\n", "b; c; d", ""},
		"a long one": {"a" + long + "\n", long[:tailText], ""},
		"no text":    {"a\xff\xfeb\n", "ab", ""},
		"panic": {
			"[ 1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n[ 1.1] CPU: 0\r\n[ 1.2] Call Trace:\r\n[ 1.3] Kernel Offset: disabled\r\n",
			"[ 1.1] CPU: 0; [ 1.2] Call Trace:; [ 1.3] Kernel Offset: disabled", "Attempted to kill init! exitcode=0x00000100",
		},
	} {
		path := filepath.Join(t.TempDir(), "console")
		if err := os.WriteFile(path, []byte(tt.said), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tail(path); got != tt.tail {
			t.Errorf("%s: tail %q, want %q", name, got, tt.tail)
		}
		if got := panicOf(path); got != tt.panicked {
			t.Errorf("%s: panic %q, want %q", name, got, tt.panicked)
		}
	}
	if got := tail("/no/such/console"); got != "" {
		t.Errorf("no console: %q", got)
	}
}

func TestEnding(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "console")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Ending("the machine went down", path); got != "the machine went down; the end of its console: one; two" {
		t.Errorf("got %q", got)
	}
	if got := Ending("", path); got != "the end of its console: one; two" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(path, []byte("one\nKernel panic - not syncing: why\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Ending("the machine went down", path); got != "the guest's kernel has panicked: why" {
		t.Errorf("got %q", got)
	}
}
