package terminal_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/cli/terminal"
)

// shown reports whether what is typed is shown.
func shown(f *os.File) (bool, error) {
	settings, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return false, err
	}
	return settings.Lflag&unix.ECHO != 0, nil
}

func TestReadPassword(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(ours console.Console, cancel func()) error
		want string
		err  error
	}{
		"a line": {func(ours console.Console, _ func()) error {
			_, err := ours.Write([]byte("secret\n"))
			return err
		}, "secret", nil},
		"interrupted": {func(_ console.Console, cancel func()) error { cancel(); return nil }, "", context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, path, err := console.NewPty()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			theirs, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				echo, err := shown(theirs)
				for ; echo && err == nil; echo, err = shown(theirs) {
					runtime.Gosched() // nobody tells of it
				}
				ended <- errors.Join(err, c.end(ours, cancel))
			}()
			got, err := terminal.ReadPassword(ctx, theirs)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, c.want, c.err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if echo, err := shown(theirs); err != nil || !echo {
				t.Errorf("what is typed is not shown any more (%v)", err)
			}
		})
	}
}

func TestReadPasswordOfAFile(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := terminal.ReadPassword(t.Context(), f); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("got %v, want no terminal", err)
	}
}
