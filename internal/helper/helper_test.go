package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"patchbay.dev/patchbay/internal/rpc"
)

const behaviourVariable = "HELPER_TEST_BEHAVIOUR"

// TestMain makes the test binary a helper as well.
func TestMain(m *testing.M) {
	if behaviour := os.Getenv(behaviourVariable); behaviour != "" {
		behave(behaviour)
		return
	}
	goleak.VerifyTestMain(m)
}

func behave(behaviour string) {
	switch behaviour {
	case "dies":
		fmt.Fprint(os.Stderr, "first line\nlast words\n\n")
		os.Exit(7)
	case "verb":
		fmt.Println("args:", strings.Join(os.Args, " "))
		return
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := rpc.InheritedListener()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, os.Getpid())
		if behaviour != "holds" { // on to its connections
			c.Close()
		}
	}
}

func config(t *testing.T, behaviour string) Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Config{
		Directory:   filepath.Join(dir, "h"),
		Socket:      filepath.Join(dir, "h", "s"),
		Binary:      os.Args[0],
		Name:        "patchbay-test",
		Environment: []string{behaviourVariable + "=" + behaviour},
	}
}

func start(t *testing.T, c Config) *Process {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// hello reads the process id that a helper answers with.
func hello(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		var pid int
		if _, err := fmt.Fscan(c, &pid); err != nil {
			return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
		}
		return nil
	}
}

// What a helper begins with says the manifest, unless the operator has said it for all.
func TestProcessors(t *testing.T) {
	for name, tt := range map[string]struct {
		operator string
		asked    int
		want     string // "": nothing
	}{
		"all":                         {"", 0, ""},
		"one":                         {"", 1, "GOMAXPROCS=1"},
		"the operator's":              {"3", 0, "GOMAXPROCS=3"},
		"the operator's comes before": {"3", 1, "GOMAXPROCS=3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", tt.operator)
			if tt.operator == "" {
				os.Unsetenv("GOMAXPROCS")
			}
			c := config(t, "serves")
			c.Processors = tt.asked
			p := start(t, c)
			if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
				t.Fatal(err)
			}
			environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID()))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for v := range strings.SplitSeq(string(environment), "\x00") {
				if strings.HasPrefix(v, "GOMAXPROCS=") {
					got = append(got, v)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStartAndTerminate(t *testing.T) {
	t.Parallel()
	c := config(t, "serves")
	p := start(t, c)
	if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{c.Socket: 0o600, c.Directory: 0o700, filepath.Join(c.Directory, RecordFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", path, info, err, want)
		}
	}
	p.Terminate(5 * time.Minute)
	if err := hello(c.Socket)(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a dead helper: %v, want it refused", err)
	}
	if _, err := Adopt(c.Directory); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("adopt of a dead helper: %v, want not found", err)
	}
	again := start(t, c)
	if err := again.Ready(t.Context(), hello(c.Socket)); err != nil {
		t.Errorf("second process on the same socket: %v", err)
	}
}

// A process that the kernel ends is told from one that only closes its connections: it has begun
// to end when its end is seen by any of its descriptors.
func TestEnding(t *testing.T) {
	t.Parallel()
	c := config(t, "holds")
	p := start(t, c)
	if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
		t.Fatal(err)
	}
	if p.Ending() {
		t.Error("a process that serves is ending")
	}
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fscanln(conn, new(int)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the kernel closes it
	if !p.Ending() {
		t.Error("a process whose connections the kernel has closed is not ending")
	}
}

// TestOneDescriptor: whoever starts a thousand helpers has one descriptor for the process of each,
// since all of them are copied and closed for each program that is started.
func TestOneDescriptor(t *testing.T) {
	t.Parallel()
	p := start(t, config(t, "serves"))
	all, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	count, of := 0, fmt.Sprintf("\nPid:\t%d\n", p.PID())
	for _, path := range all {
		if info, _ := os.ReadFile(path); strings.Contains(string(info), of) { // others are closed meanwhile
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d descriptors of the process, want 1", count)
	}
}

func TestDeafHelperIsKilled(t *testing.T) {
	t.Parallel()
	c := config(t, "deaf")
	p := start(t, c)
	if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
		t.Fatal(err)
	}
	p.Terminate(10 * time.Millisecond)
	if !strings.Contains(p.Death(), "killed") {
		t.Errorf("death %q, want it killed", p.Death())
	}
}

func TestDeathAtStartTellsLastWords(t *testing.T) {
	t.Parallel()
	c := config(t, "dies")
	err := start(t, c).Ready(t.Context(), hello(c.Socket))
	if want := "ended (exit status 7): first line; last words"; !errors.Is(err, errdefs.ErrUnavailable) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// One that dies at once may have ended before it is recorded: it was started, and
// its words are told by Ready.
func TestDeathBeforeTheRecord(t *testing.T) {
	t.Parallel()
	for range 30 {
		start(t, config(t, "dies"))
	}
}

func TestSilentHelper(t *testing.T) {
	t.Parallel()
	c := config(t, "serves")
	p := start(t, c)
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var silence *SilenceError
	if err := p.Ready(ctx, hang); !errors.As(err, &silence) || !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("at the deadline: %v, want silence", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := p.Ready(ctx, hang); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want that", err)
	}
	if err := p.Ready(t.Context(), func(context.Context) error { return errdefs.ErrInvalidArgument }); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("an answer that is an error: %v, want it as it is", err)
	}
}

func TestMissingBinary(t *testing.T) {
	t.Parallel()
	c := config(t, "serves")
	c.Binary = filepath.Join(c.Directory, "none")
	if _, err := Start(c); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("got %v, want not exist", err)
	}
	if _, err := os.Lstat(c.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket: %v, want it removed", err)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	c := config(t, "serves")
	p := start(t, c)
	adopted, err := Adopt(c.Directory)
	if err != nil {
		t.Fatal(err)
	}
	if adopted.PID() != p.PID() {
		t.Errorf("adopted process %d, want %d", adopted.PID(), p.PID())
	}
	if binary, err := Binary(c.Directory); err != nil || binary != c.Binary {
		t.Errorf("binary %q, %v, want %q", binary, err, c.Binary)
	}
	adopted.Kill()
	<-p.Done()
	if got := adopted.Death(); got != "ended without a word" {
		t.Errorf("death of an adopted process: %q", got)
	}
}

// TestAdoptUnrecorded is a crash between the start of a helper and its record.
func TestAdoptUnrecorded(t *testing.T) {
	for name, forerunner := range map[string]string{"none": "", "gone": `{"pid":1,"startTime":1}`} {
		t.Run(name, func(t *testing.T) {
			c := config(t, "serves")
			p := start(t, c)
			// The kernel shows the environment of a program some time after it has begun to
			// execute it, which is when its start returns.
			if err := p.Ready(t.Context(), hello(c.Socket)); err != nil {
				t.Fatal(err)
			}
			record := filepath.Join(c.Directory, RecordFile)
			if err := os.Remove(record); err != nil {
				t.Fatal(err)
			}
			if forerunner != "" {
				if err := os.WriteFile(record, []byte(forerunner), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			adopted, err := Adopt(c.Directory)
			if err != nil || adopted.PID() != p.PID() {
				t.Fatalf("got %v, %v, want process %d", adopted, err, p.PID())
			}
			if _, err := os.Stat(record); err != nil {
				t.Error(err)
			}
			adopted.Kill()
			<-p.Done()
			if _, err := Adopt(c.Directory); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("adopt a dead one: %v, want not found", err)
			}
		})
	}
}

// TestUsedIDIsNotAdopted has a record of a process whose id went to another.
func TestUsedIDIsNotAdopted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRecord(dir, record{PID: os.Getpid(), StartTime: began - 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(dir); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if err := os.WriteFile(filepath.Join(dir, RecordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(dir); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("damaged record: %v, want data loss", err)
	}
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	if err := os.WriteFile(filepath.Join(dir, StderrFile), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := tail(dir), "line 995; line 996; line 997; line 998; line 999"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunVerb(t *testing.T) {
	t.Parallel()
	out, err := Run(t.Context(), Verb{Binary: os.Args[0], Name: "x", Args: []string{"check"}, Environment: []string{behaviourVariable + "=verb"}})
	if err != nil || string(out) != "args: x check\n" {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = Run(t.Context(), Verb{Binary: os.Args[0], Name: "x", Environment: []string{behaviourVariable + "=dies"}})
	if !errors.Is(err, errdefs.ErrUnavailable) || !strings.Contains(err.Error(), "exit status 7: first line; last words") {
		t.Errorf("got %v, want the last words", err)
	}
}
