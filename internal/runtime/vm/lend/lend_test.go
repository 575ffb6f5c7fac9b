package lend

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// start runs a shell that is lent a file as /nowhere/lent, to its end.
func start(t *testing.T, file *os.File, script string) string {
	t.Helper()
	var out bytes.Buffer
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := Start(cmd, "/nowhere/lent", file, (*exec.Cmd).Start); err != nil {
			done <- err
			return
		}
		_ = cmd.Wait() // what it said is what counts
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func readOnly(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o400); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTheFileIsLentForReadingAlone(t *testing.T) {
	t.Parallel()
	f := readOnly(t)
	if got := start(t, f, "exec 3<>/nowhere/lent && cat <&3 && echo more >&3"); !strings.HasPrefix(got, "content") || !strings.Contains(got, "echo: ") {
		t.Errorf("got %q, want the content, and that it cannot be written", got)
	}
	if now, err := os.ReadFile(f.Name()); err != nil || string(now) != "content" {
		t.Errorf("the file: %q, %v", now, err)
	}
}

func TestTheFileIsLentOnce(t *testing.T) {
	t.Parallel()
	if got := start(t, readOnly(t), "exec 3<>/nowhere/lent; exec 4<>/nowhere/lent"); got == "" {
		t.Error("opened again without a fault")
	}
}

func TestAllElseIsOpenedAsEver(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "own")
	got := start(t, readOnly(t), "echo mine >"+own+"; exec 3<>"+own+" 4<>/nowhere/lent; cat <&3; cat <&4; echo more >&3; cat "+own)
	if got != "mine\ncontentmine\nmore" {
		t.Errorf("got %q", got)
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- Start(exec.Command("/nowhere/program"), "/nowhere/lent", readOnly(t), (*exec.Cmd).Start)
	}()
	if err := <-done; err == nil {
		t.Error("started")
	}
}

// Go's own signals, by which it has goroutines make way, come at any moment.
func TestTheFileIsLentAmidSignals(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			threads, err := os.ReadDir("/proc/self/task")
			if err != nil {
				t.Error(err)
				return
			}
			for _, thread := range threads {
				if id, err := strconv.Atoi(thread.Name()); err == nil {
					_ = unix.Tgkill(os.Getpid(), id, unix.SIGURG) // it may be gone
				}
			}
		}
	}()
	f := readOnly(t)
	for range 100 {
		if got := start(t, f, "exec 3<>/nowhere/lent && cat <&3"); got != "content" {
			t.Fatalf("got %q, want the content", got)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
}
