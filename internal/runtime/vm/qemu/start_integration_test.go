//go:build integration

package qemu

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// inPlace puts a shell script in the place of QEMU, and nothing else on the path.
func inPlace(t *testing.T, script string) Config {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "qemu") // its user is to reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, Binary), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	file := null(t)
	return Config{Accelerator: TCG, CPUs: 1, MemoryBytes: 128 << 20, Kernel: file, Initrd: file, Console: file, User: 1879048192, Start: (*exec.Cmd).Start}
}

// A machine that does not come up is one line that says why, and no process.
func TestStartFails(t *testing.T) {
	for name, tt := range map[string]struct {
		script, text string
		kind         error
	}{
		"not installed": {"", Binary + " is not installed (Debian: qemu-system-x86)", errdefs.ErrFailedPrecondition},
		"dies": {
			"echo 'warning: TCG does not support this' >&2; echo '" + Binary + ": cannot set up guest memory: Cannot allocate memory' >&2; exit 1",
			Binary + ": cannot set up guest memory: Cannot allocate memory", errdefs.ErrFailedPrecondition,
		},
		"dies without a word": {"exit 1", "machine: qmp_capabilities: it has ended", errdefs.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Start(t.Context(), inPlace(t, tt.script))
			if m != nil || !errors.Is(err, tt.kind) || !strings.HasPrefix(err.Error(), tt.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, tt.text)
			}
		})
	}
	t.Run("hangs", func(t *testing.T) {
		c := inPlace(t, "exec /bin/sleep 1000")
		var started *exec.Cmd
		c.Start = func(cmd *exec.Cmd) error { started = cmd; return cmd.Start() }
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := Start(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if started.ProcessState == nil {
			t.Error("its process is still there")
		}
	})
}

// How the process ended is known of one that others have killed, and nothing is said
// of one that was to end.
func TestHowItEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*Machine)
		want string
	}{
		"killed by others": {func(m *Machine) { m.cmd.Process.Kill(); <-m.Done() }, Binary + " has ended: signal: killed: last words"},
		"killed by us":     {(*Machine).Kill, ""},
		"runs":             {func(*Machine) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// The monitor is the third file of those that it inherits.
			c := inPlace(t, `echo 'last words' >&2; echo '{"QMP": {}}' >&5; read -r x <&5; echo '{"return": {}}' >&5; exec /bin/sleep 1000`)
			m, err := Start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Kill()
			tt.end(m)
			if got := m.Reason(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
