//go:build integration

package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// starterVariable has this program start a machine that is none, say its process and
// wait.
const starterVariable = "QEMU_TEST_STARTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(starterVariable); dir != "" {
		starter(dir)
	}
	os.Exit(m.Run())
}

func starter(dir string) {
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			panic(err)
		}
		return f
	}
	_, err := Start(context.Background(), Config{
		Accelerator: TCG, MemoryBytes: 128 << 20, CPUs: 1, Agent: "agent", User: 65534,
		Kernel: file("kernel"), Initrd: file("initrd"), Console: file("console"), Memory: file("memory"),
		Start: func(cmd *exec.Cmd) error {
			cmd.Path, cmd.Args = "/bin/sleep", []string{"sleep", "1000"}
			if err := cmd.Start(); err != nil {
				return err
			}
			fmt.Println(cmd.Process.Pid)
			return nil
		},
	})
	panic(fmt.Sprint("it answers: ", err))
}

// A machine that is saved in the background has no PID namespace that ends with whoever
// started it.
func TestTheProcessEndsWithWhoeverStartedIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(Binary); err != nil {
		t.Fatal(err)
	}
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"="+t.TempDir())
	starter.Stderr = os.Stderr
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	defer starter.Process.Kill()
	var said string
	if _, err := fmt.Fscanln(out, &said); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(said)
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait() // killed
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
		t.Errorf("the process lives on: %d, %v", n, err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}
