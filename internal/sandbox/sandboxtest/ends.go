//go:build integration

package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
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
	last := h.await(func(s *sandboxv1.StateResponse) bool { return s.GetExit() != nil })
	got := h.Attach(made.GetStdioSocket(), "", "hello\n")
	if s := <-last; s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_STOPPED || s.GetExit().GetCode() != 7 || s.GetExit().GetExitedAt() == nil {
		t.Errorf("Watch ends with %v, want code 7 and a time", s)
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

// await follows the states of the sandbox from now on until one is as wanted, and tells
// it.
func (h *Helper) await(want func(*sandboxv1.StateResponse) bool) <-chan *sandboxv1.StateResponse {
	h.T.Helper()
	states, err := h.Client.Watch(h.Context(), &sandboxv1.WatchRequest{})
	if err != nil {
		h.T.Fatalf("Watch: %v", err)
	}
	met := make(chan *sandboxv1.StateResponse, 1)
	go func() {
		defer states.Close()
		var state *sandboxv1.StateResponse
		for state == nil || !want(state) {
			message, err := states.Receive()
			if err != nil {
				h.T.Errorf("Watch, after %v: %v", state, err)
				break
			}
			state = message.GetState()
		}
		met <- state
	}()
	return met
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
	if r.GetRootFilesystem().GetDiscardable() {
		h.wantNoDisk()
	}
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

// wantNoDisk wants that a sandbox which runs, and has written, has nothing on the disk of
// what need not be kept.
func (h *Helper) wantNoDisk() {
	h.T.Helper()
	err := filepath.WalkDir(h.Root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && path != filepath.Join(h.Root, "log") {
			h.T.Errorf("%s is there, though nothing is to be kept", path)
		}
		return err
	})
	if err != nil {
		h.T.Error(err)
	}
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
