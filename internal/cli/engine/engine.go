// Package engine starts and watches patchbayd where systemd does not.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/rpc/peer"
	"patchbay.dev/patchbay/internal/timerslack"
)

const (
	program = "patchbayd"
	// notifyVariable is where a service learns whom to tell that it is ready
	// (sd_notify(3)).
	notifyVariable = "NOTIFY_SOCKET"
	ready          = "READY=1"
	// maxLog is the size from which a log is set aside when patchbayd starts.
	maxLog = 8 << 20
	// lastWords is how much of the log an error quotes, in lines.
	lastWords = 10
)

// Find returns the path of patchbayd: beside this program, else in PATH.
func Find() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), program)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s: is neither beside patchbay nor in PATH: %w", program, errdefs.ErrNotFound)
	}
	return filepath.Abs(path)
}

// Running reports whether a patchbayd serves the instance, and its process. The
// socket of one that was killed can be open for a moment more: what it was about to
// start has it until then.
func Running(ctx context.Context, roots layout.Roots) (pid int, ok bool) {
	pid, err := processOf(ctx, roots)
	return pid, err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func processOf(ctx context.Context, roots layout.Roots) (int, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", roots.APISocket())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	p, err := peer.Of(c)
	return p.PID, err
}

// Config says what to start.
type Config struct {
	Roots      layout.Roots
	Binary     string
	ConfigFile string // empty: patchbayd's own choice
	Timeout    time.Duration
}

// Start starts patchbayd in a session of its own, with its output in the
// instance's log, and returns when it says that it is ready. If it dies first,
// the error holds its last words; if it is not ready in time, it is killed. If
// another one was quicker, that one is returned.
func Start(ctx context.Context, c Config) (pid int, err error) {
	if err := os.MkdirAll(c.Roots.RunRoot, 0o755); err != nil {
		return 0, fmt.Errorf("run root: %w", err)
	}
	log, err := openLog(c.Roots.DaemonLog())
	if err != nil {
		return 0, err
	}
	defer log.Close()
	notify, err := listen(c.Roots)
	if err != nil {
		return 0, err
	}
	defer notify.close()

	// What the caller has open, such as a lock or the end of a pipe, must not stay open for
	// as long as patchbayd runs. Kernels before 5.11 cannot do this.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	command := exec.Command(c.Binary, arguments(c)...)
	command.Dir = "/"
	command.Env = append(withoutNotify(os.Environ()), notifyVariable+"="+notify.path)
	command.Stdout, command.Stderr = log.File, log.File
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := timerslack.Usual(command.Start); err != nil {
		return 0, fmt.Errorf("patchbayd did not start: %w", err)
	}
	died := make(chan error, 1)
	go func() { died <- command.Wait() }()

	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	select {
	case <-notify.ready:
		return command.Process.Pid, nil
	case err := <-died:
		if pid, ok := Running(ctx, c.Roots); ok {
			return pid, nil
		}
		return 0, log.failure("patchbayd ended before it was ready", err)
	case <-ctx.Done():
		err := errors.Join(command.Process.Kill(), <-died)
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return 0, log.failure(fmt.Sprintf("patchbayd was not ready within %s and was killed", c.Timeout), err)
		}
		return 0, ctx.Err()
	}
}

func arguments(c Config) []string {
	args := []string{"--root", c.Roots.Root, "--run-root", c.Roots.RunRoot}
	if c.ConfigFile != "" {
		args = append(args, "--config", c.ConfigFile)
	}
	return args
}

func withoutNotify(environment []string) []string {
	var out []string
	for _, v := range environment {
		if !strings.HasPrefix(v, notifyVariable+"=") {
			out = append(out, v)
		}
	}
	return out
}

// notification is the socket on which a service says that it is ready.
type notification struct {
	conn  *net.UnixConn
	path  string
	ready chan struct{}
	done  chan struct{}
}

func listen(roots layout.Roots) (*notification, error) {
	path := filepath.Join(roots.RunRoot, fmt.Sprintf("start-%d.sock", os.Getpid()))
	os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("socket for patchbayd to say that it is ready: %w", err)
	}
	n := &notification{conn: conn, path: path, ready: make(chan struct{}), done: make(chan struct{})}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("socket for patchbayd to say that it is ready: %w", err)
	}
	go n.receive()
	return n, nil
}

func (n *notification) receive() {
	defer close(n.done)
	told := false
	buffer := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buffer)
		if err != nil {
			return
		}
		for line := range bytes.Lines(buffer[:size]) {
			if !told && strings.TrimSpace(string(line)) == ready {
				told = true
				close(n.ready)
			}
		}
	}
}

func (n *notification) close() {
	_ = n.conn.Close()
	<-n.done
	os.Remove(n.path)
}
