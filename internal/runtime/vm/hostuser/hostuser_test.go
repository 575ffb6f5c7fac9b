package hostuser_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/hostuser"
	"patchbay.dev/patchbay/resource"
)

func pool(t *testing.T, first, last uint32) hostuser.Pool {
	t.Helper()
	return hostuser.Pool{
		Range: resource.UserRange{First: first, Last: last},
		Locks: filepath.Join(t.TempDir(), "new", "users"),
		Busy:  func() (map[uint32]bool, error) { return nil, nil },
	}
}

func TestLendsEachOnce(t *testing.T) {
	t.Parallel()
	p := pool(t, 1000, 1009)
	var lent []*hostuser.User
	seen := map[uint32]bool{}
	for range p.Range.Size() {
		u, err := p.Lend()
		if err != nil {
			t.Fatal(err)
		}
		if seen[u.ID] || u.ID < 1000 || u.ID > 1009 {
			t.Fatalf("id %d, after %v", u.ID, seen)
		}
		seen[u.ID] = true
		lent = append(lent, u)
	}
	if _, err := p.Lend(); !errors.Is(err, errdefs.ErrResourceExhausted) || !strings.Contains(err.Error(), "vm.user-ids") {
		t.Errorf("all are lent: %v", err)
	}
	back := lent[3].ID
	if err := lent[3].Close(); err != nil {
		t.Fatal(err)
	}
	if u, err := p.Lend(); err != nil || u.ID != back {
		t.Errorf("after the return of %d: %v, %v", back, u, err)
	}
}

func TestLeavesOthersTheirs(t *testing.T) {
	t.Parallel()
	p := pool(t, 1000, 1005)
	dir := t.TempDir()
	p.Accounts, p.Subordinates = filepath.Join(dir, "passwd"), filepath.Join(dir, "subuid")
	for path, content := range map[string]string{
		p.Accounts:     "root:x:0:0::/:/bin/sh\n\nfirst:x:1000:1000::/:/bin/sh\nodd:x:none:1001::/:\n",
		p.Subordinates: "first:1001:2\nodd:1004:many\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.Busy = func() (map[uint32]bool, error) { return map[uint32]bool{1004: true}, nil }
	got := map[uint32]bool{}
	for u, err := p.Lend(); err == nil; u, err = p.Lend() {
		t.Cleanup(func() { u.Close() })
		got[u.ID] = true
	}
	if len(got) != 2 || !got[1003] || !got[1005] {
		t.Errorf("lent %v, want 1003 and 1005", got)
	}
}

func TestBusyFails(t *testing.T) {
	t.Parallel()
	p := pool(t, 1000, 1005)
	p.Busy = func() (map[uint32]bool, error) { return nil, os.ErrPermission }
	if _, err := p.Lend(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
