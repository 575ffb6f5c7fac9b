//go:build integration

package host

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
)

// reach connects from one namespace to a listener in another.
func reach(t *testing.T, from, to *netns.Namespace, address string) {
	t.Helper()
	const port, patience = "80", 10 * time.Second
	err := to.Do(func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(address, port))
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = from.Do(func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(address, port), patience)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Errorf("%s is not reached: %v", address, err)
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	h, err := New(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	reach(t, h.Outside(), h.Inside(), Address)
	reach(t, h.Inside(), h.Outside(), Outside)
	if out, err := h.Output(t.Context(), "ip", "-oneline", "route", "show", "default"); err != nil || !strings.Contains(out, "via "+Outside) {
		t.Errorf("default route %q, %v", out, err)
	}
	err = h.Run(t.Context(), "sh", "-c", "echo what is wrong >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit status 3: what is wrong") {
		t.Errorf("got %v, want what the program wrote", err)
	}
}

func TestBridge(t *testing.T) {
	t.Parallel()
	b, err := NewBridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	reach(t, b.Ends[0], b.Ends[1], EndAddress(1))
	reach(t, b.Ends[0], b.Host, Gateway)
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	h, err := New(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	log := filepath.Join(t.TempDir(), "log")
	asked := 0
	d, err := h.Daemon(t.Context(), log, func(context.Context) error {
		if asked++; asked < 2 {
			return errors.New("not yet")
		}
		return nil
	}, "sleep", "1000000")
	if err != nil {
		t.Fatal(err)
	}
	d.Stop()
	select {
	case <-d.done:
	default:
		t.Error("goes on after Stop")
	}
	_, err = h.Daemon(t.Context(), log, func(context.Context) error { return errors.New("never") }, "sh", "-c", "echo no such option; exit 1")
	if err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("one that ends: %v, want what it wrote", err)
	}
}

func TestPrecedence(t *testing.T) {
	const name = "/patchbay-test-precedence"
	p, err := NewPrecedence(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := groupsOfChild(t); !strings.Contains(got, ":"+name+"\n") {
		t.Errorf("a child's groups: %q, want %s among them", got, name)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := groupsOfChild(t); strings.Contains(got, name) {
		t.Errorf("a child's groups when it is closed: %q", got)
	}
}

func groupsOfChild(t *testing.T) string {
	t.Helper()
	all, err := exec.Command("cat", "/proc/self/cgroup").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}
