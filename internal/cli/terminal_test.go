package cli_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// addRunning adds a container that runs until the end of the test.
func (f *fakeServer) addRunning(name string) {
	c := &fakeContainer{}
	c.Name, c.Configuration.Process.Args = name, []string{"cat"}
	f.mu.Lock()
	f.containers = append(f.containers, c)
	f.mu.Unlock()
	f.run(c, false)
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

// TestExecTerminalCloses: a further process of a container is told when the
// terminal that it was started from is closed.
func TestExecTerminalCloses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.addRunning("box")
	ours, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("patchbay", "--root", s.roots.Root, "--run-root", s.roots.RunRoot, "exec", "-it", "box", "wait-signal")
	command.Stdin, command.Stdout, command.Stderr = theirs, theirs, theirs
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	theirs.Close()
	if line, err := bufio.NewReader(ours).ReadString('\n'); strings.TrimSpace(line) != "ready" {
		t.Fatalf("screen shows %q, %v", line, err)
	}
	ours.Close()
	s.awaitCalls(1, `Containers.KillExec {"name":"box","processId":"exec-1","signal":"SIGHUP"}`)
	_ = command.Wait() // whatever it says, nobody sees
}

// TestExecNobodyReads: a further process of a container ends when nobody reads
// its output any more, as the first command of a pipe does.
func TestExecNobodyReads(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.addRunning("box")
	command := exec.Command("patchbay", "--root", s.roots.Root, "--run-root", s.roots.RunRoot, "exec", "box", "chatter")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "still here\n" {
		t.Fatalf("output %q, %v", line, err)
	}
	out.Close()
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != 128+int(unix.SIGPIPE) {
		t.Errorf("exit code %d, want that of SIGPIPE", code)
	}
	s.awaitCalls(1, `Containers.KillExec {"name":"box","processId":"exec-1","signal":"SIGPIPE"}`)
}
