package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"processors (", "GiB of memory", Release()} {
		if got := Describe(t.TempDir()); !strings.Contains(got, want) || strings.ContainsAny(got, "\n") {
			t.Errorf("%q: want one line with %q", got, want)
		}
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("a: 1\nkey:   7 kB\nkey: 8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"key:": "7 kB", "none": ""} {
		if got := value(path, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if got := value(path+"x", "a"); got != "" {
		t.Errorf("of no file: %q", got)
	}
}
