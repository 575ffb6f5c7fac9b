//go:build integration

package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest/world"
	"patchbay.dev/patchbay/resource"
)

// testKept has a sandbox write and end, and another one go on with what it has written, at
// half a processor, until somebody kills its main process from outside: what a host does
// that has no memory left.
func testKept(t *testing.T, c Config) {
	first := Start(t, c, nil)
	r := first.Request("sh", "-c", "echo one >/kept && mv /etc/plain /srv && ln -s kept /link && exit 3")
	r.RootFilesystem.Discardable = false
	if got := first.Run(r, ""); got.Code != 3 {
		t.Fatalf("the first one: %+v", got)
	}
	first.Gone()
	first.WantNothingLeft()

	w := world.New(t, []string{resource.StrategyBridgePort})
	p := world.ServePlugin(t, filepath.Join(w.Dir, "p.sock"))
	second := startOn(t, c, w.Host, first.Root)
	r = second.Request("sh", "-c", "mkfifo /tmp/go && cat /tmp/go && while :; do :; done")
	r.RootFilesystem.Discardable = false
	r.Resources.NanoCpus = NanoCPUs / 2
	r.Attachments = []*typesv1.AllocatedAttachment{w.Attachment(t, second.ID, p, 0)}
	pid := int(second.Begin(r).GetPid())
	got := second.Exec(&typesv1.Process{Args: []string{"sh", "-c", "cat /link /srv/plain; test -e /etc/plain || echo moved; until [ -p /tmp/go ]; do sleep 0.1; done; echo >/tmp/go"}})
	if want := "one\nnot a program\nmoved\n"; got.Stdout != want || got.Code != 0 {
		t.Errorf("what the first one has written: %+v, want %q", got, want)
	}
	wantHalf(t, pid)

	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	waited := make(chan *sandboxv1.WaitResponse, 1)
	go func() {
		answer, err := second.Client.Wait(second.Context(), &sandboxv1.WaitRequest{})
		if err != nil {
			t.Errorf("Wait: %v", err)
		}
		waited <- answer
	}()
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	if exit := (<-waited).GetExit(); exit.GetCode() != 137 {
		t.Errorf("Wait: %v, want 137", exit)
	}
	second.Gone()
	if exit := second.Exit(); exit.Code != 137 || exit.OutOfMemory {
		t.Errorf("exit = %+v, want 137 and that memory was no reason", exit)
	}
	p.WantHeld(t)
	w.WantPorts(t, world.BridgeOf(0), 0)
	second.WantNothingLeft()
}

// wantHalf wants a process that never waits to get half a processor at most: for a second
// of it, it needs two.
func wantHalf(t *testing.T, pid int) {
	t.Helper()
	begun, before := time.Now(), processorTime(t, pid)
	for ticks := time.NewTicker(10 * time.Millisecond); processorTime(t, pid)-before < time.Second; <-ticks.C {
		if time.Since(begun) > world.Patience {
			t.Fatalf("process %d has got %v in %v", pid, processorTime(t, pid)-before, time.Since(begun))
		}
	}
	// The kernel counts in tenths of a second, in which all of a half can be at once.
	if took := time.Since(begun); took < 1700*time.Millisecond {
		t.Errorf("process %d has got %v of a processor in %v, want half of that", pid, time.Second, took)
	}
}

// processorTime is what all threads of a process have got (proc(5), stat: in ticks).
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	const userHertz = 100
	var sum time.Duration
	for _, field := range bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[11:13] {
		ticks, err := strconv.Atoi(string(field))
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ticks) * time.Second / userHertz
	}
	return sum
}
