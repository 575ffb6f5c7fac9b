package cli_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/layout"
)

// startServer serves an instance until the end of the test.
func startServer(t *testing.T) *fakeServer {
	t.Helper()
	directory, err := os.MkdirTemp("", "pb") // short, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	s, err := newFakeServer(layout.Roots{Root: directory, RunRoot: filepath.Join(directory, "r")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// TestTerminal types into a container, sees its output, changes the size of the
// window and leaves it by the detach keys.
func TestTerminal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ours, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Resize(console.WinSize{Width: 101, Height: 31}); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("patchbay", "--root", s.roots.Root, "--run-root", s.roots.RunRoot, "run", "-it", "--name", "shell", "box", "greet-cat")
	command.Stdin, command.Stdout, command.Stderr = theirs, theirs, theirs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	theirs.Close()
	screen := bufio.NewReader(ours)
	expect := func(want string) {
		t.Helper()
		line, err := screen.ReadString('\n')
		if strings.TrimRight(line, "\r\n") != want {
			t.Fatalf("screen shows %q, %v, want %q", line, err, want)
		}
	}

	expect("ready")
	s.awaitCalls(1, `Containers.Resize {"name":"0000000000000001","width":101,"height":31}`)
	// Ctrl-C is for the container: in raw mode it is a character like any other.
	if _, err := ours.Write([]byte("typed\x03\x10x\n")); err != nil {
		t.Fatal(err)
	}
	expect("typed\x03\x10x")
	if err := ours.Resize(console.WinSize{Width: 80, Height: 24}); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(unix.SIGWINCH); err != nil { // the kernel tells only the terminal's foreground group
		t.Fatal(err)
	}
	s.awaitCalls(1, `"width":80,"height":24`)

	if _, err := ours.Write([]byte("\x10\x11")); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after the detach keys: %v, want exit code 0", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.containers[0].Status.State; state != "running" {
		t.Errorf("container is %s after detaching, want running", state)
	}
}
