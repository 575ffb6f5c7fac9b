package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/internal/config"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func endpoint(network, address string) config.Endpoint {
	return config.Endpoint{Network: network, Address: address, Setting: "/etc/c.toml: metrics.listen"}
}

func mustListen(t *testing.T, e config.Endpoint, others bool) net.Listener {
	t.Helper()
	l, err := Listen(e, others)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestSocketMode(t *testing.T) {
	t.Parallel()
	for others, want := range map[bool]os.FileMode{false: 0o600, true: 0o666} {
		path := filepath.Join(t.TempDir(), "s")
		mustListen(t, endpoint("unix", path), others)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("others %v: mode %v, want %v", others, got, want)
		}
	}
}

// What a process leaves that was killed is replaced.
func TestStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	mustListen(t, endpoint("unix", path), false)
}

func TestEndpointThatCannotBeHad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := mustListen(t, endpoint("unix", filepath.Join(dir, "s")), false)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for name, tt := range map[string]struct {
		endpoint config.Endpoint
		want     string
		kind     error
	}{
		"a live socket": {endpoint("unix", taken.Addr().String()), "address already in use", errdefs.ErrAlreadyExists},
		"a port in use": {endpoint("tcp", tcp.Addr().String()), "address already in use", errdefs.ErrAlreadyExists},
		"a file":        {endpoint("unix", file), "is there and is no socket", errdefs.ErrFailedPrecondition},
		"a directory":   {endpoint("unix", dir), "is there and is no socket", errdefs.ErrFailedPrecondition},
		"no directory":  {endpoint("unix", filepath.Join(dir, "none", "s")), "no such file or directory", errdefs.ErrFailedPrecondition},
		"not ours":      {endpoint("tcp", "192.0.2.77:9100"), "cannot assign requested address", errdefs.ErrFailedPrecondition},
	} {
		l, err := Listen(tt.endpoint, false)
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, tt.kind) || !strings.HasPrefix(err.Error(), "/etc/c.toml: metrics.listen: \""+tt.endpoint.Address+"\": ") ||
			strings.Count(err.Error(), tt.want) != 1 {
			t.Errorf("%s: got %v, want the setting and once %q", name, err, tt.want)
		}
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("the file: %q, %v", content, err)
	}
	c, err := net.Dial("unix", taken.Addr().String())
	if err != nil {
		t.Errorf("the live socket: %v", err)
	} else {
		c.Close()
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	s := Serve(mustListen(t, endpoint("unix", path), false), busyWorld().metrics(), nil)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for target, want := range map[string]int{"metrics": http.StatusOK, "": http.StatusNotFound} {
		answer, err := client.Get("http://patchbay/" + target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Error(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("/%s: got %d, want %d", target, answer.StatusCode, want)
		}
	}
	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v, want the socket gone", err)
	}
}

// The end of the server does not wait for plugins that hang.
func TestCloseInTheMiddle(t *testing.T) {
	t.Parallel()
	w := busyWorld()
	asked := make(chan struct{})
	m := New(Config{Containers: w, Networks: hanging{asked}, Images: w, DefaultRuntime: "oci", Log: w.metrics().config.Log})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, m, nil)
	done := make(chan error, 1)
	go func() {
		answer, err := http.Get("http://" + l.Addr().String() + "/metrics")
		if err == nil {
			answer.Body.Close()
		}
		done <- err
	}()
	<-asked
	s.Close()
	if err := <-done; err != nil {
		t.Errorf("the scrape: %v, want an answer without the networks", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// hanging is networks that answer nothing until they may not any longer.
type hanging struct{ asked chan struct{} }

func (h hanging) Observe(ctx context.Context) []networks.Observation {
	close(h.asked)
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > askTimeout {
		panic("networks are asked without a bound")
	}
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.Canceled) {
		panic("the end of the server waits for the bound")
	}
	return nil
}

// An address that others reach is told as what it is.
func TestOpenAddressIsTold(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"127.0.0.1:0": "level=INFO", "[::1]:0": "level=INFO", "0.0.0.0:0": "level=WARN"} {
		var log bytes.Buffer
		m := New(Config{Containers: busyWorld(), Networks: busyWorld(), Images: busyWorld(), Log: slog.New(slog.NewTextHandler(&log, nil))})
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := Serve(l, m, nil)
		s.Close()
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), l.Addr().String()) {
			t.Errorf("%s: the log says %q, want %s and the address", address, log.String(), want)
		}
	}
}
