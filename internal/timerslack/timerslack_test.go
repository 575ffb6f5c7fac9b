package timerslack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWiden: all threads of the process have the slack, and a program that is started
// within Usual has that of before.
func TestWiden(t *testing.T) {
	read := func(t *testing.T, thread string) string {
		t.Helper()
		data, err := os.ReadFile("/proc/" + thread + "/timerslack_ns")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	usual := read(t, "self")
	if usual == "1000000" {
		t.Skip("all threads of this process have the slack already, of a run before")
	}
	child := func(t *testing.T) string {
		t.Helper()
		var out []byte
		err := Usual(func() (err error) {
			out, err = exec.Command("cat", "/proc/self/timerslack_ns").Output()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if got := child(t); got != usual {
		t.Errorf("before: a program has %s ns, want %s", got, usual)
	}
	if err := Widen(); err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads: %v, %v", threads, err)
	}
	for _, thread := range threads {
		if got := read(t, filepath.Base(thread)); got != "1000000" && got != "" {
			t.Errorf("thread %s has %s ns, want 1000000", thread, got)
		}
	}
	if got := child(t); got != usual {
		t.Errorf("within Usual a program has %s ns, want %s", got, usual)
	}
}
