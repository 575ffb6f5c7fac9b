package guest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// taker takes output when it may, until it fails.
type taker struct {
	may    chan struct{} // closed when it may
	fails  error
	closed chan struct{}

	mu  sync.Mutex
	got bytes.Buffer // guarded by mu
}

func newTaker() *taker { return &taker{may: make(chan struct{}), closed: make(chan struct{})} }

func (t *taker) Write(p []byte) (int, error) {
	<-t.may
	if t.fails != nil {
		return 0, t.fails
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got.Write(p)
}

func (t *taker) Close() error { close(t.closed); return nil }

func (t *taker) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got.String()
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// terminal returns both ends of one that passes bytes on as they are.
func terminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peer uintptr
	var failed unix.Errno
	err = raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			t.Error(err)
		}
		peer, _, failed = unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	})
	if err != nil || failed != 0 {
		t.Fatal(err, failed)
	}
	theirs = os.NewFile(peer, "terminal")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func write(t *testing.T, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// What a process has written is on its way to the host before its end is told, though
// others keep its output open and the host takes it late; what those write later comes too.
func TestOutputSettles(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (ours, theirs *os.File){"pipe": pipe, "terminal": terminal} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := open(t)
			taker := newTaker()
			text := strings.Repeat("the last words of a process ", 100) // less than a terminal holds
			write(t, to, text)
			o := passOn(taker, from)
			settled := make(chan string)
			go func() {
				o.settle()
				settled <- taker.text()
			}()
			close(taker.may)
			if got := <-settled; got != text {
				t.Errorf("%d bytes had been passed on, want %d", len(got), len(text))
			}
			write(t, to, "and another's")
			to.Close()
			<-taker.closed
			if got, want := taker.text(), text+"and another's"; got != want {
				t.Errorf("%d bytes in all, want %d", len(got), len(want))
			}
		})
	}
}

// An end is told though others write without a pause.
func TestOutputOfOthersDoesNotDelay(t *testing.T) {
	t.Parallel()
	from, to := pipe(t)
	taker := newTaker()
	close(taker.may)
	o := passOn(taker, from)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for text := make([]byte, chunk); ; {
			if _, err := to.Write(text); err != nil {
				return
			}
		}
	}()
	o.settle()
	to.Close()
	<-stopped
	<-taker.closed
}

// An end is told where nobody takes the output.
func TestOutputForNobody(t *testing.T) {
	t.Parallel()
	from, to := pipe(t)
	taker := newTaker()
	taker.fails = errors.New("the host is gone")
	close(taker.may)
	write(t, to, "lost")
	passOn(taker, from).settle()
	<-taker.closed
}

// An end is told of a process that has closed its output before.
func TestOutputThatHasEnded(t *testing.T) {
	t.Parallel()
	from, to := pipe(t)
	taker := newTaker()
	close(taker.may)
	o := passOn(taker, from)
	to.Close()
	<-taker.closed
	o.settle()
}
