//go:build integration

package sandboxtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/client/sandboxclient"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest/world"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/resource"
)

// The limits of all sandboxes of the suite: bounds that every runtime can hold, and
// that a test can reach.
const (
	MemoryBytes  = 256 << 20
	NanoCPUs     = 1_000_000_000
	maxProcesses = 100
)

// Helper is a runtime helper that runs.
type Helper struct {
	T      *testing.T
	ID     string
	Dir    string // its state directory
	Root   string // for what the container writes
	Cmd    *exec.Cmd
	Client *sandboxclient.Client

	config Config
	died   chan struct{} // closed when the process has been waited for
	stderr bytes.Buffer
}

// Start starts the program as patchbayd does, in a network namespace that stands
// for the host's; nil is a fresh one. At the end of the test it is killed, and what
// it leaves is cleaned up; the test fails if something is left then.
func Start(t *testing.T, c Config, host *netns.Namespace) *Helper {
	t.Helper()
	return startOn(t, c, host, "")
}

// startOn starts one whose container goes on with what another one has written to root;
// "": with nothing.
func startOn(t *testing.T, c Config, host *netns.Namespace, root string) *Helper {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "pbh")
	if err != nil {
		t.Fatal(err)
	}
	h := &Helper{T: t, ID: resource.NewID(), Dir: filepath.Join(base, "s"), Root: cmp.Or(root, filepath.Join(base, "c")), config: c, died: make(chan struct{})}
	for _, d := range []string{h.Dir, filepath.Join(h.Root, "upper"), filepath.Join(h.Root, "work")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if host == nil {
		if host, err = netns.New(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { host.Close() })
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(h.Dir, "sandbox.sock")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	h.Cmd = exec.Command(c.Binary)
	h.Cmd.Env = append(os.Environ(), "PATCHBAY_LISTEN_FD=3", sandbox.IDVariable+"="+h.ID, sandbox.StateDirVariable+"="+h.Dir, rpc.DirectoryVariable+"="+h.Dir)
	h.Cmd.Env = append(h.Cmd.Env, c.Environment...)
	h.Cmd.ExtraFiles = []*os.File{file}
	h.Cmd.Stderr = &h.stderr
	h.Cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if err := host.Do(h.Cmd.Start); err != nil {
		t.Fatal(err)
	}
	l.Close()
	file.Close()
	go func() {
		_ = h.Cmd.Wait()
		close(h.died)
	}()
	h.Client = sandboxclient.Dial(filepath.Join(h.Dir, "sandbox.sock"))
	t.Cleanup(func() {
		_ = h.Cmd.Process.Kill()
		<-h.died
		h.Client.Close()
		h.CleanUp()
		h.WantNothingLeft()
		if t.Failed() {
			t.Logf("helper's stderr:\n%s", h.stderr.String())
			if exit, err := os.ReadFile(filepath.Join(h.Dir, sandbox.ExitFile)); err == nil {
				t.Logf("its sandbox has ended: %s", exit)
			}
		}
		os.RemoveAll(base)
	})
	return h
}

// CleanUp runs the verb that removes what a killed helper leaves.
func (h *Helper) CleanUp() {
	h.T.Helper()
	cmd := exec.Command(h.config.Binary, "cleanup")
	cmd.Env = h.Cmd.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		h.T.Errorf("cleanup: %v\n%s", err, out)
	}
}

// WantNothingLeft looks for control groups and mounts of the sandbox.
func (h *Helper) WantNothingLeft() {
	h.T.Helper()
	if left := h.cgroups(); len(left) > 0 {
		h.T.Errorf("control groups left: %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), h.Dir) {
		h.T.Errorf("mounts of the sandbox on the host: %v", err)
	}
}

// cgroups returns the container's control groups, in all hierarchies, and what
// is like one below a hierarchy that hides it.
func (h *Helper) cgroups() []string {
	found := make(chan []string)
	go func() { // the thread is thrown away with its namespace
		runtime.LockOSThread()
		one, _ := filepath.Glob("/sys/fs/cgroup/*" + h.ID + "*")
		two, _ := filepath.Glob("/sys/fs/cgroup/*/*" + h.ID + "*")
		var hidden []string
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			h.T.Errorf("mount namespace: %v", err)
		} else if unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH) == nil {
			hidden, _ = filepath.Glob("/sys/fs/cgroup/unified/*" + h.ID + "*")
		}
		found <- slices.Concat(one, two, hidden)
	}()
	return <-found
}

// Request is a bootstrap of a command, without networks.
func (h *Helper) Request(args ...string) *sandboxv1.BootstrapRequest {
	return &sandboxv1.BootstrapRequest{
		Id: h.ID, Name: "box", Hostname: "boxhost",
		Process: &typesv1.Process{Args: args},
		RootFilesystem: &sandboxv1.RootFilesystem{
			LowerDirectories: []string{h.config.Layer},
			UpperDirectory:   filepath.Join(h.Root, "upper"),
			WorkDirectory:    filepath.Join(h.Root, "work"),
			Discardable:      h.config.Dear, // no disk of its own
		},
		Resources:   &typesv1.Resources{MemoryBytes: MemoryBytes, NanoCpus: NanoCPUs, Pids: maxProcesses},
		LogPath:     filepath.Join(h.Root, "log"),
		AwaitAttach: true,
	}
}

// Context bounds a call.
func (h *Helper) Context() context.Context { return bounded(h.T) }

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
	t.Cleanup(cancel)
	return ctx
}

// Bootstrap wants a sandbox to be made.
func (h *Helper) Bootstrap(r *sandboxv1.BootstrapRequest) *sandboxv1.BootstrapResponse {
	h.T.Helper()
	made, err := h.Client.Bootstrap(h.Context(), r)
	if err != nil {
		h.T.Fatalf("Bootstrap: %v", err)
	}
	return made
}

// Begin wants a sandbox to be made and its main process to be started.
func (h *Helper) Begin(r *sandboxv1.BootstrapRequest) *sandboxv1.BootstrapResponse {
	h.T.Helper()
	made := h.Bootstrap(r)
	if _, err := h.Client.Start(h.Context(), &sandboxv1.StartRequest{}); err != nil {
		h.T.Fatalf("Start: %v", err)
	}
	return made
}

// Output is what a process has written and how it ended.
type Output struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a container to its end with input attached.
func (h *Helper) Run(r *sandboxv1.BootstrapRequest, input string) Output {
	h.T.Helper()
	made := h.Begin(r)
	return h.Attach(made.GetStdioSocket(), "", input)
}

// Attach gives input to a process and waits for its end; "" is the main process.
func (h *Helper) Attach(socket, process, input string) Output {
	h.T.Helper()
	return attach(h.T, socket, process, input)
}

func attach(t *testing.T, socket, process, input string) Output {
	t.Helper()
	var out, errOut bytes.Buffer
	exit, err := stdio.Attach(bounded(t), socket, process, stdio.Streams{
		Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errOut,
	})
	if err != nil {
		t.Fatalf("Attach: %v; stdout %q, stderr %q", err, out.String(), errOut.String())
	}
	return Output{out.String(), errOut.String(), exit.Code}
}

// Exec runs a further process to its end.
func (h *Helper) Exec(p *typesv1.Process) Output {
	h.T.Helper()
	return h.exec(h.T, &sandboxv1.ExecRequest{Process: p}, "")
}

func (h *Helper) exec(t *testing.T, r *sandboxv1.ExecRequest, input string) Output {
	t.Helper()
	made, err := h.Client.Exec(bounded(t), r)
	if err != nil {
		t.Fatalf("Exec: %v", err)
	}
	return attach(t, made.GetStdioSocket(), made.GetProcessId(), input)
}

// Gone waits for the helper's end.
func (h *Helper) Gone() {
	h.T.Helper()
	select {
	case <-h.died:
	case <-time.After(world.Patience):
		h.T.Fatalf("the helper is still there; stderr:\n%s", h.stderr.String())
	}
}

// Exit is how the main process ended, as the helper has written it.
func (h *Helper) Exit() sandbox.ExitStatus {
	h.T.Helper()
	var exit sandbox.ExitStatus
	data, err := os.ReadFile(filepath.Join(h.Dir, sandbox.ExitFile))
	if err == nil {
		err = json.Unmarshal(data, &exit)
	}
	if err != nil {
		h.T.Fatalf("%s: %v: %s", sandbox.ExitFile, err, data)
	}
	return exit
}
