package rpc_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
)

// ask sends requests by one connection, each in pieces of some bytes, and returns what is
// answered without what depends on the server.
func ask(t *testing.T, socket string, piece int, requests ...string) (answers []string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reader := bufio.NewReader(c)
	for _, request := range requests {
		for rest := request; rest != ""; {
			n := min(piece, len(rest))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		for range strings.Count(request, "POST ") {
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%q: %v", request, err)
			}
			body, err := io.ReadAll(answer.Body)
			answers = append(answers, fmt.Sprintf("%s %s %q %v", answer.Status, answer.Header.Get("Content-Type"), body, err))
		}
	}
	return answers
}

// request is one of package direct, or one that net/http answers.
func request(procedure, content, message string, plainly bool) string {
	more := ""
	if !plainly {
		more = "User-Agent: test\r\n"
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: patchbay\r\nContent-Type: %s\r\nConnect-Protocol-Version: 1\r\n%sContent-Length: %d\r\n\r\n%s", procedure, content, more, len(message), message)
}

// once is a plugin whose streams end.
type once struct{ plugin }

func (p *once) Hold(_ context.Context, r *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	for range r.GetKeys() {
		if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
			return err
		}
	}
	return p.hello()
}

// A plain call is answered as net/http answers it, in whatever pieces it comes, and as is what
// comes before and after it on its connection.
func TestPlainCallsAreAnsweredAsOthers(t *testing.T) {
	t.Parallel()
	const hello, hold = pluginv1connect.NetworkPluginServiceHelloProcedure, pluginv1connect.NetworkPluginServiceHoldProcedure
	for name, end := range map[string]error{"ok": nil, "error": fmt.Errorf("network a: \"no\": %w", errdefs.ErrFailedPrecondition)} {
		socket := serveHandler(t, &once{plugin{hello: func() error { return end }}})
		for what, r := range map[string]struct{ procedure, content, message string }{
			"unary":              {hello, "application/proto", ""},
			"not a message":      {hello, "application/proto", "\xff"},
			"stream":             {hold, "application/connect+proto", "\x00\x00\x00\x00\x06\x0a\x01a\x0a\x01b"},
			"stream of none":     {hold, "application/connect+proto", "\x00\x00\x00\x00\x00"},
			"stream of a letter": {hold, "application/connect+proto", "\x00\x00\x00\x00\x01\xff"},
		} {
			own := request(r.procedure, r.content, r.message, true)
			others := request(r.procedure, r.content, r.message, false)
			want := ask(t, socket, 1<<20, others)[0]
			for _, piece := range []int{1 << 20, 50, 1} {
				for i, got := range ask(t, socket, piece, own, own+own, others, own) {
					if got != want {
						t.Errorf("%s, %s, pieces of %d, answer %d: got %s, want %s", name, what, piece, i, got, want)
					}
				}
			}
		}
	}
}

// The caller's end is that of a call, whoever answers it.
func TestCallerGoes(t *testing.T) {
	t.Parallel()
	for _, plainly := range []bool{true, false} {
		entered, left := make(chan struct{}), make(chan error)
		socket := serveHandler(t, &waiting{entered: entered, left: left})
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second call has nothing to do with the first
			if _, err := io.WriteString(c, request(pluginv1connect.NetworkPluginServiceCheckProcedure, "application/proto", "", plainly)); err != nil {
				t.Fatal(err)
			}
			<-entered
			left <- nil
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("got %v, %v", answer, err)
			}
		}
		if _, err := io.WriteString(c, request(pluginv1connect.NetworkPluginServiceCheckProcedure, "application/proto", "", plainly)); err != nil {
			t.Fatal(err)
		}
		<-entered
		c.Close()
		<-left
	}
}

// waiting answers Check when it is told to, or sends when its caller has gone.
type waiting struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	entered chan struct{}
	left    chan error
}

func (w *waiting) Check(ctx context.Context, _ *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	w.entered <- struct{}{}
	select {
	case err := <-w.left:
		return &pluginv1.CheckResponse{}, err
	case <-ctx.Done():
		w.left <- ctx.Err()
		return nil, ctx.Err()
	}
}
