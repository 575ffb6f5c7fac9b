//go:build integration

package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
)

// refused is a specification that no runtime takes, for its version.
const refused = `{"ociVersion": "9.9.9", "root": {"path": "/"}}`

// TestStandby: what is created by a runtime that waits, by a new one in place of it, and
// without either. All of them read the specification that comes last, wherever the
// directory is by then.
func TestStandby(t *testing.T) {
	path, err := exec.LookPath("crun")
	if err != nil {
		t.Fatal(err)
	}
	r := reaper.Start()
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	child := Child{Files: []*os.File{null, null, null}, PIDFile: "main.pid"}
	begin := func(t *testing.T) Program {
		t.Helper()
		born, moved := filepath.Join(t.TempDir(), "born"), filepath.Join(t.TempDir(), "moved")
		if err := os.Mkdir(born, 0o700); err != nil {
			t.Fatal(err)
		}
		p := Program{Path: path, ID: NewID(), StateDir: moved, Reaper: r}
		directory, err := os.Open(born)
		if err != nil {
			t.Fatal(err)
		}
		if p.Copy, err = Load(path); err != nil {
			t.Fatal(err)
		}
		if p.Standby, err = p.Await(directory, p.Copy, child); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(born, moved); err != nil {
			t.Fatal(err)
		}
		return p
	}
	wantRefusal := func(t *testing.T, p Program) {
		t.Helper()
		if err := p.Create(t.Context(), []byte(refused), child); err == nil || !strings.Contains(err.Error(), "unknown version") {
			t.Errorf("create: %v, want that the specification is refused", err)
		}
		if left, _ := filepath.Glob(filepath.Join(p.StateDir, "*.log")); left != nil {
			t.Errorf("left: %v", left)
		}
	}
	killed := func(s *Standby) bool {
		<-s.child.Done()
		return s.child.Status().Signaled()
	}

	t.Run("used", func(t *testing.T) {
		p := begin(t)
		wantRefusal(t, p)
		if killed(p.Standby) {
			t.Error("the runtime on standby was not used")
		}
	})
	t.Run("of another program", func(t *testing.T) {
		p := begin(t)
		p.Standby.of.size++
		wantRefusal(t, p)
		if !killed(p.Standby) {
			t.Error("the runtime on standby was used")
		}
	})
	t.Run("dead", func(t *testing.T) {
		p := begin(t)
		if err := p.Standby.child.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.Standby.child.Done()
		wantRefusal(t, p)
	})
	t.Run("cannot read a pipe", func(t *testing.T) {
		p := begin(t)
		if err := (<-p.Standby.opened).Close(); err != nil { // it finds nothing in it
			t.Fatal(err)
		}
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		p.Standby.opened = make(chan *os.File, 1)
		p.Standby.opened <- write
		wantRefusal(t, p)
		if killed(p.Standby) {
			t.Error("the runtime on standby was not used")
		}
	})
	t.Run("unused", func(t *testing.T) {
		p := begin(t)
		p.Standby.End()
		if !killed(p.Standby) {
			t.Error("it goes on")
		}
	})
	t.Run("cut", func(t *testing.T) {
		p := begin(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(fmt.Errorf("enough"))
		if err := p.Create(ctx, []byte(refused), child); !errors.Is(err, context.Canceled) {
			t.Errorf("create: %v, want canceled", err)
		}
	})
}

// TestStandbyOfOthers: nobody knows whether another program reads from a pipe.
func TestStandbyOfOthers(t *testing.T) {
	t.Parallel()
	directory, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Program{Path: "/usr/sbin/runc"}).Await(directory, nil, Child{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("runc on standby: %v, want unsupported", err)
	}
	if _, err := directory.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("its directory: %v, want it closed", err)
	}
}
