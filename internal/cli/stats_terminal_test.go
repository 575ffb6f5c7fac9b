package cli_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/console"
)

// On a terminal the table stays in its place until Ctrl-C, which is a good end and
// leaves an empty line for the shell.
func TestStatsOnATerminal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	instance := []string{"--root", s.roots.Root, "--run-root", s.roots.RunRoot}
	if out, err := exec.Command("patchbay", append(instance, "run", "-d", "--name", "web", "box", "wait-signal")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Resize(console.WinSize{Width: 30, Height: 10}); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("patchbay", append(instance, "stats", "--interval", "100ms")...)
	command.Stdin, command.Stdout, command.Stderr = theirs, theirs, theirs
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // Ctrl-C is for its terminal
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	theirs.Close()

	screen := bufio.NewReader(ours)
	for i, want := range []string{
		"\rNAME   CPU   MEMORY   LIMIT   \x1b[K\r\n", // cut to the window
		"\rweb    -     10MB     64MB    \x1b[K\r\n",
		"\x1b[J\x1b[2A\rNAME   CPU     MEMORY   LIMIT \x1b[K\r\n",
		"\rweb    25.0%   10MB     64MB  \x1b[K\r\n",
	} {
		line, err := screen.ReadString('\n')
		if line != want {
			t.Fatalf("line %d: got %q, %v, want %q", i, line, err, want)
		}
	}
	if _, err := ours.Write([]byte("\x03")); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	_, _ = rest.ReadFrom(screen) // ends with EIO when nobody has the terminal
	if err := command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if !strings.Contains(rest.String(), "^C") || !strings.HasSuffix(rest.String(), "\r\x1b[K") {
		t.Errorf("the terminal ends with %q", rest.String())
	}
}
