package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A manifest is read again when it has changed, and only then.
func TestParseKnowsChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(install(t, t.TempDir(), "macvlan", macvlan), FileName)
	later := time.Now().Add(2 * settled)
	parse := func(when time.Time, want string) {
		t.Helper()
		f, err := parseAt(when, path)
		if err != nil || f.DefaultVariant != want {
			t.Errorf("got default variant %q, %v, want %q", f.DefaultVariant, err, want)
		}
	}
	parse(time.Now(), "bridge")
	if _, kept := known.Load(path); kept {
		t.Error("kept what may change without a trace")
	}
	parse(later, "bridge")
	last, kept := known.Load(path)
	if !kept {
		t.Fatal("not kept")
	}
	marked := last.(parsed)
	marked.content.DefaultVariant = "kept"
	known.Store(path, marked)
	parse(later, "kept")

	changed := strings.Replace(macvlan, `default-variant = "bridge"`, `default-variant = "privat"`, 1)
	next := path + ".new" // another file, whatever the kernel's clock
	if err := os.WriteFile(next, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	parse(later, "privat")
}
