//go:build integration

package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/stdio"
)

// filler is how many bytes a program writes at its end: more than any buffer on the
// way holds.
const filler = 1_000_000

// testEnd runs a program to its end, and looks at all that is true of one then.
func testEnd(t *testing.T, c Config) {
	h := Start(t, c, nil)
	r := h.Request("sh", "-c", `cat; echo "$HOSTNAME $HOME $PWD"; id -u; touch /x 2>/dev/null || echo refused; touch /etc/hosts && echo hosts writable
		grep CapBnd /proc/self/status; test $$ != 1 && echo below an init; echo bad >&2; head -c 1000000 /dev/zero | tr '\0' x; exit 7`)
	r.Process.Stdin = true
	r.Process.WorkingDirectory = "/made/by/us"
	r.Init = true
	r.RootFilesystem.ReadOnly = true
	r.CapabilitiesDrop, r.CapabilitiesAdd = []string{"ALL"}, []string{"CAP_NET_ADMIN"}
	made := h.Begin(r)
	waited := make(chan *sandboxv1.WaitResponse, 1)
	go func() {
		answer, err := h.Client.Wait(h.Context(), &sandboxv1.WaitRequest{})
		if err != nil {
			t.Errorf("Wait: %v", err)
		}
		waited <- answer
	}()
	watched := h.watch()
	got := h.Attach(made.GetStdioSocket(), "", "hello\n")
	if states := <-watched; len(states) < 2 || states[len(states)-1] != sandboxv1.SandboxState_SANDBOX_STATE_STOPPED {
		t.Errorf("Watch: %v, want the last of several states to be that it has stopped", states)
	}
	if answer := <-waited; answer.GetExit().GetCode() != 7 || answer.GetExit().GetExitedAt() == nil {
		t.Errorf("Wait: %v, want code 7 and a time", answer)
	}
	got.Stdout = strings.TrimSuffix(got.Stdout, strings.Repeat("x", filler)) + "x"
	want := Output{Stdout: "hello\nboxhost /root /made/by/us\n0\nrefused\nhosts writable\nCapBnd:\t0000000000001000\nbelow an init\nx", Stderr: "bad\n", Code: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%.4000s", diff)
	}
	h.Gone()
	if exit := h.Exit(); exit.Code != 7 || exit.ExitedAt.IsZero() || exit.OutOfMemory {
		t.Errorf("exit = %+v, want code 7 and a time", exit)
	}
	log, err := os.ReadFile(filepath.Join(h.Root, "log"))
	if err != nil || !bytes.Contains(log, []byte("below an init")) || !bytes.Contains(log, []byte("bad")) || len(log) < filler {
		t.Errorf("log has %d bytes (%v), want all of the output", len(log), err)
	}
	h.WantNothingLeft() // by itself, without the verb
}

// watch opens a stream of states and then collects them until it ends.
func (h *Helper) watch() <-chan []sandboxv1.SandboxState {
	h.T.Helper()
	stream, err := h.Client.Watch(h.Context(), &sandboxv1.WatchRequest{})
	if err != nil {
		h.T.Fatal(err)
	}
	first, err := stream.Receive()
	if err != nil {
		h.T.Fatalf("Watch: %v", err)
	}
	collected := make(chan []sandboxv1.SandboxState, 1)
	go func() {
		defer stream.Close()
		all := []sandboxv1.SandboxState{first.GetState().GetState()}
		for {
			message, err := stream.Receive()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					h.T.Errorf("Watch, after %v: %v", all, err)
				}
				collected <- all
				return
			}
			all = append(all, message.GetState().GetState())
		}
	}()
	return collected
}

// until is a writer that tells when a text has come.
type until struct {
	text  string
	found chan struct{}

	mu   sync.Mutex
	seen bytes.Buffer // guarded by mu
	told bool         // guarded by mu
}

func newUntil(text string) *until { return &until{text: text, found: make(chan struct{})} }

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen.Write(p)
	if !u.told && strings.Contains(u.seen.String(), u.text) {
		u.told = true
		close(u.found)
	}
	return len(p), nil
}

// await waits for the text, or for the end of those who write.
func (u *until) await(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-u.found:
	case <-ctx.Done():
		u.mu.Lock()
		defer u.mu.Unlock()
		t.Fatalf("output %q, want %q in it", u.seen.String(), u.text)
	}
}

// testTerminal has sessions with a program at a terminal: somebody comes and goes,
// another one takes over, and memory runs out.
func testTerminal(t *testing.T, c Config) {
	h := Start(t, c, nil)
	// Each of the last ones holds what it has read until somebody takes it.
	r := h.Request("sh", "-c", `trap 'exit 4' TERM; tty; echo TERM=$TERM; read line; echo "got $line"; stty size
		for i in 1 2 3; do { dd if=/dev/zero bs=120M count=1 2>/dev/null; echo "ended: $?" >&2; } | sleep 1000 & done; read line`)
	r.Process.Terminal, r.Process.Stdin = true, true
	made := h.Begin(r)
	session := func(text string, typed ...string) {
		t.Helper()
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		in, keys := io.Pipe()
		defer in.Close()
		screen, ended := newUntil(text), make(chan error, 1)
		go func() {
			_, err := stdio.Attach(ctx, made.GetStdioSocket(), "", stdio.Streams{Stdin: in, Stdout: screen})
			ended <- err
		}()
		for _, line := range typed {
			if _, err := io.WriteString(keys, line); err != nil {
				t.Fatal(err)
			}
		}
		screen.await(t, ctx)
		cancel() // the session ends, the container does not
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("detach: %v, want canceled", err)
		}
	}
	session("TERM=xterm\r\n")
	if _, err := h.Client.Resize(h.Context(), &sandboxv1.ResizeRequest{Width: 91, Height: 37}); err != nil {
		t.Fatal(err)
	}
	session("37 91\r\n", "typed\n")
	session("ended: 137\r\n")
	if _, err := h.Client.Signal(h.Context(), &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM)}); err != nil {
		t.Error(err)
	}
	if got := h.Attach(made.GetStdioSocket(), "", ""); got.Code != 4 {
		t.Errorf("last session: %+v, want that the signal was caught", got)
	}
	h.Gone()
	if exit := h.Exit(); exit.Code != 4 || !exit.OutOfMemory || exit.Message == "" {
		t.Errorf("exit = %+v, want 4 and that memory has run out", exit)
	}
	h.WantNothingLeft()
}

// testShutdown ends sandboxes in each of their states, in both ways.
func testShutdown(t *testing.T, c Config) {
	ends := map[string]func(*Helper) error{
		"call": func(h *Helper) error {
			answers := make(chan error)
			for range 2 {
				go func() {
					_, err := h.Client.Shutdown(h.Context(), &sandboxv1.ShutdownRequest{})
					answers <- err
				}()
			}
			// Who comes later is told the same, or finds nobody any more.
			one, other := <-answers, <-answers
			if one == nil && errors.Is(other, errdefs.ErrUnavailable) || other == nil && errors.Is(one, errdefs.ErrUnavailable) {
				return nil
			}
			return errors.Join(one, other)
		},
		"SIGTERM": func(h *Helper) error { return h.Cmd.Process.Signal(unix.SIGTERM) },
		"SIGKILL to all": func(h *Helper) error {
			_, err := h.Client.Signal(h.Context(), &sandboxv1.SignalRequest{Signal: int32(unix.SIGKILL), All: true})
			return err
		},
	}
	states := map[string]struct {
		enter func(*Helper)
		dear  map[string]bool // ends of it that a runtime whose sandboxes are dear need not show
	}{
		"empty": {enter: func(h *Helper) {
			if _, err := h.Client.Hello(h.Context(), &sandboxv1.HelloRequest{MinProtocol: 1, MaxProtocol: 1}); err != nil {
				h.T.Fatal(err)
			}
		}},
		"created": {enter: func(h *Helper) { h.Bootstrap(h.Request("sleep", "1000")) }, dear: map[string]bool{"call": true, "SIGKILL to all": true}},
		// Nobody has attached: that is not waited for.
		"running": {enter: func(h *Helper) { h.Begin(h.Request("sleep", "1000")) }, dear: map[string]bool{"SIGTERM": true}},
	}
	for state, s := range states {
		for way, end := range ends {
			if way == "SIGKILL to all" && state == "empty" {
				continue // there is nobody to be killed
			}
			if c.Dear && s.dear[way] {
				continue
			}
			t.Run(state+" by "+way, func(t *testing.T) {
				t.Parallel()
				h := Start(t, c, nil)
				s.enter(h)
				if err := end(h); err != nil {
					t.Error(err)
				}
				h.Gone()
				if state == "empty" {
					return
				}
				if exit := h.Exit(); exit.Code != 137 {
					t.Errorf("exit = %+v, want 137", exit)
				}
				h.WantNothingLeft()
			})
		}
	}
}
