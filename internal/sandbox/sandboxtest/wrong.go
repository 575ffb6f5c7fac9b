//go:build integration

package sandboxtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox"
)

// wantKind wants an error of a kind and in one line, with a text in it.
func wantKind(t *testing.T, what string, err, kind error, text string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), text) || strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("%s: got %v, want one line with %q that is: %v", what, err, text, kind)
	}
}

// testEmpty calls a helper that has no sandbox yet.
func testEmpty(t *testing.T, c Config) {
	h := Start(t, c, nil)
	t.Run("hello", func(t *testing.T) {
		hello, err := h.Client.Hello(h.Context(), &sandboxv1.HelloRequest{MinProtocol: 1, MaxProtocol: 9})
		if err != nil {
			t.Fatal(err)
		}
		if hello.GetName() != c.Name || hello.GetMinProtocol() > sandbox.Protocol || hello.GetMaxProtocol() < sandbox.Protocol {
			t.Errorf("hello: %v, want runtime %s with protocol %d", hello, c.Name, sandbox.Protocol)
		}
		for _, s := range c.Strategies {
			if !strings.Contains(fmt.Sprint(hello.GetStrategies()), s) {
				t.Errorf("strategies %v, want %s among them", hello.GetStrategies(), s)
			}
		}
		_, err = h.Client.Hello(h.Context(), &sandboxv1.HelloRequest{MinProtocol: 77, MaxProtocol: 78})
		wantKind(t, "hello of a far future", err, errdefs.ErrFailedPrecondition, "77 to 78")
	})
	t.Run("wrong calls", func(t *testing.T) {
		ctx := h.Context()
		for name, call := range map[string]func() error{
			"start": func() error { _, err := h.Client.Start(ctx, &sandboxv1.StartRequest{}); return err },
			"exec": func() error {
				_, err := h.Client.Exec(ctx, &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"true"}}})
				return err
			},
			"signal": func() error {
				_, err := h.Client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM)})
				return err
			},
			"signal all": func() error {
				_, err := h.Client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM), All: true})
				return err
			},
			"resize": func() error {
				_, err := h.Client.Resize(ctx, &sandboxv1.ResizeRequest{Width: 1, Height: 1})
				return err
			},
			"explain": func() error { _, err := h.Client.Explain(ctx, &sandboxv1.ExplainRequest{}); return err },
			"stats":   func() error { _, err := h.Client.Stats(ctx, &sandboxv1.StatsRequest{}); return err },
			"disconnect": func() error {
				_, err := h.Client.Disconnect(ctx, &sandboxv1.DisconnectRequest{InterfaceName: "eth0"})
				return err
			},
		} {
			wantKind(t, name, call(), errdefs.ErrFailedPrecondition, h.ID)
		}
	})
	t.Run("state", func(t *testing.T) {
		state, err := h.Client.State(h.Context(), &sandboxv1.StateRequest{})
		if diff := cmp.Diff(sandboxv1.SandboxState_SANDBOX_STATE_EMPTY, state.GetState()); diff != "" || err != nil || state.GetPid() != 0 {
			t.Errorf("state: %v, %v", state, err)
		}
	})
}

// notThere are commands that cannot be begun with, in whichever way they are.
var notThere = map[string]struct {
	process *typesv1.Process
	kind    error
	text    string
}{
	"not in PATH":    {&typesv1.Process{Args: []string{"nothere"}}, errdefs.ErrNotFound, `exec: "nothere"`},
	"no such file":   {&typesv1.Process{Args: []string{"/nothere"}}, errdefs.ErrNotFound, `exec: "/nothere"`},
	"not executable": {&typesv1.Process{Args: []string{"/etc/plain"}}, errdefs.ErrPermissionDenied, `exec: "/etc/plain"`},
	"no format":      {&typesv1.Process{Args: []string{"noformat"}}, errdefs.ErrPermissionDenied, `exec: "noformat": cannot be executed: it is neither a program nor a script`},
	"foreign":        {&typesv1.Process{Args: []string{"/bin/foreign"}}, errdefs.ErrPermissionDenied, `exec: "/bin/foreign": cannot be executed: it is a program for alpha, and this machine is `},
	"a directory":    {&typesv1.Process{Args: []string{"/etc"}}, errdefs.ErrPermissionDenied, `exec: "/etc"`},
	"no such user":   {&typesv1.Process{Args: []string{"true"}, User: "nobodyhere"}, errdefs.ErrInvalidArgument, `user "nobodyhere"`},
}
