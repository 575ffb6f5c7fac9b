package plugintest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/networkplugin"
)

// deadline bounds one call to a plugin.
const deadline = 20 * time.Second

// Process is a plugin process that serves one network, with the directory that
// outlives it.
type Process struct {
	// NetworkID is the id of its network.
	NetworkID string

	config    Config
	directory string
	command   *exec.Cmd
	stderr    *bytes.Buffer
	client    *pluginclient.Client
}

// start starts the plugin's program as patchbayd does: the listening socket is
// there before the program is.
func start(t *testing.T, c Config, networkID string) *Process {
	t.Helper()
	directory, err := os.MkdirTemp("", "plugintest") // short, for the socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	p := &Process{NetworkID: networkID, config: c, directory: directory}
	p.run(t)
	t.Cleanup(func() { p.Kill(t) })
	return p
}

func (p *Process) run(t *testing.T) {
	t.Helper()
	socket, state := filepath.Join(p.directory, "plugin.sock"), filepath.Join(p.directory, "state")
	if err := errors.Join(os.RemoveAll(socket), os.MkdirAll(state, 0o700)); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	p.stderr = new(bytes.Buffer)
	p.command = exec.Command(p.config.Binary)
	p.command.Env = append(os.Environ(),
		rpc.ListenFDVariable+"=3", networkplugin.NetworkIDVariable+"="+p.NetworkID, networkplugin.StateDirVariable+"="+state)
	p.command.Env = append(p.command.Env, p.config.Env...)
	p.command.ExtraFiles = []*os.File{file}
	p.command.Stderr = p.stderr
	begin := p.config.Start
	if begin == nil {
		begin = func(_ *testing.T, c *exec.Cmd) error { return c.Start() }
	}
	err = begin(t, p.command)
	if err := errors.Join(err, file.Close(), listener.Close()); err != nil { // a dead plugin refuses connections
		t.Fatal(err)
	}
	p.client = pluginclient.Dial(socket, p.config.Codec)
}

// Client calls the plugin.
func (p *Process) Client() pluginv1connect.NetworkPluginServiceClient { return p.client }

// Kill kills the process as kill -9 does and waits for its end.
func (p *Process) Kill(t *testing.T) {
	t.Helper()
	if p.command == nil {
		return
	}
	p.end(t, syscall.SIGKILL)
}

// Terminate asks the process to end and returns its exit code.
func (p *Process) Terminate(t *testing.T) int {
	t.Helper()
	return p.end(t, syscall.SIGTERM)
}

func (p *Process) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	timer := time.AfterFunc(deadline, func() { p.command.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	code := p.command.ProcessState.ExitCode()
	p.client.Close()
	if t.Failed() {
		t.Logf("the plugin wrote:\n%s", p.stderr)
	}
	p.command = nil
	return code
}

// Restart starts the program again after Kill or Terminate.
func (p *Process) Restart(t *testing.T) {
	t.Helper()
	p.run(t)
}

// bounded is the context of one call.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}
