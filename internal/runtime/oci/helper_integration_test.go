//go:build integration

package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/resource"
)

// The program under test and a root file system made of busybox, built once.
var binary, layer string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/tmp", "pbo")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("these tests need root")
	}
	binary, layer = filepath.Join(dir, "patchbay-runtime-oci"), filepath.Join(dir, "layer")
	build := exec.Command("go", "build", "-o", binary, "patchbay.dev/patchbay/cmd/patchbay-runtime-oci")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return makeLayer(layer)
}

func makeLayer(dir string) error {
	for _, d := range []string{"bin", "etc", "tmp", "root", "data", "srv/user"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("busybox-static is needed: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), box, 0o755); err != nil {
		return err
	}
	list, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		// Absolute links, as in the images of distributions.
		if err := os.Symlink("/bin/busybox", filepath.Join(dir, "bin", name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	files := map[string]string{
		"etc/passwd":      "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/srv/user:/bin/sh\n",
		"etc/group":       "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
		"etc/plain":       "not a program\n",
		"data/from-image": "content\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "data/from-image"), 1000, 1000)
}

// helper is a running runtime helper.
type helper struct {
	t      *testing.T
	id     string
	dir    string // its state directory
	root   string // for what the container writes
	cmd    *exec.Cmd
	client *client.Sandbox
	died   chan struct{} // closed when the process has been waited for
	stderr bytes.Buffer
}

// startHelper starts the program as patchbayd does, in a network namespace that
// stands for the host's; nil is a fresh one.
func startHelper(t *testing.T, host *netns.Namespace, env ...string) *helper {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "pbh")
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, id: resource.NewID(), dir: filepath.Join(base, "s"), root: filepath.Join(base, "c"), died: make(chan struct{})}
	for _, d := range []string{h.dir, filepath.Join(h.root, "upper"), filepath.Join(h.root, "work")} {
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
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(h.dir, "sandbox.sock")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	h.cmd = exec.Command(binary)
	h.cmd.Env = append(os.Environ(), "PATCHBAY_LISTEN_FD=3", "PATCHBAY_SANDBOX_ID="+h.id, "PATCHBAY_STATE_DIR="+h.dir)
	h.cmd.Env = append(h.cmd.Env, env...)
	h.cmd.ExtraFiles = []*os.File{file}
	h.cmd.Stderr = &h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if err := host.Do(h.cmd.Start); err != nil {
		t.Fatal(err)
	}
	l.Close()
	file.Close()
	go func() {
		_ = h.cmd.Wait()
		close(h.died)
	}()
	h.client = client.DialSandbox(filepath.Join(h.dir, "sandbox.sock"))
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		<-h.died
		h.client.Close()
		h.cleanup()
		if left := h.cgroups(); len(left) > 0 {
			t.Errorf("cgroups left: %v", left)
		}
		if t.Failed() {
			t.Logf("helper's stderr:\n%s", h.stderr.String())
		}
		os.RemoveAll(base)
	})
	return h
}

// cleanup runs the cleanup verb.
func (h *helper) cleanup() {
	h.t.Helper()
	cmd := exec.Command(binary, "cleanup")
	cmd.Env = h.cmd.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Errorf("cleanup: %v\n%s", err, out)
	}
}

// cgroups returns the container's control groups, in all hierarchies, and what
// is like one below a hierarchy that hides it.
func (h *helper) cgroups() []string {
	found := make(chan []string)
	go func() { // the thread is thrown away with its namespace
		runtime.LockOSThread()
		one, _ := filepath.Glob("/sys/fs/cgroup/*" + h.id + "*")
		two, _ := filepath.Glob("/sys/fs/cgroup/*/*" + h.id + "*")
		var hidden []string
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			h.t.Errorf("mount namespace: %v", err)
		} else if unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH) == nil {
			hidden, _ = filepath.Glob("/sys/fs/cgroup/unified/*" + h.id + "*")
		}
		found <- slices.Concat(one, two, hidden)
	}()
	return <-found
}

func (h *helper) request(args ...string) *sandboxv1.BootstrapRequest {
	return &sandboxv1.BootstrapRequest{
		Id: h.id, Name: "box", Hostname: "boxhost",
		Process: &typesv1.Process{Args: args},
		RootFilesystem: &sandboxv1.RootFilesystem{
			LowerDirectories: []string{layer},
			UpperDirectory:   filepath.Join(h.root, "upper"),
			WorkDirectory:    filepath.Join(h.root, "work"),
		},
		LogPath:     filepath.Join(h.root, "log"),
		AwaitAttach: true,
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (h *helper) bootstrap(r *sandboxv1.BootstrapRequest) *sandboxv1.BootstrapResponse {
	h.t.Helper()
	made, err := h.client.Bootstrap(testContext(h.t), r)
	if err != nil {
		h.t.Fatalf("Bootstrap: %v", err)
	}
	return made
}

func (h *helper) start(r *sandboxv1.BootstrapRequest) *sandboxv1.BootstrapResponse {
	h.t.Helper()
	made := h.bootstrap(r)
	if _, err := h.client.Start(testContext(h.t), &sandboxv1.StartRequest{}); err != nil {
		h.t.Fatalf("Start: %v", err)
	}
	return made
}

// output is what a process has written and how it ended.
type output struct {
	Stdout, Stderr string
	Code           int
}

// run runs a container to its end with input attached.
func (h *helper) run(r *sandboxv1.BootstrapRequest, input string) output {
	h.t.Helper()
	made := h.start(r)
	return h.attach(made.GetStdioSocket(), "", input)
}

func (h *helper) attach(socket, process, input string) output {
	h.t.Helper()
	var out, errOut bytes.Buffer
	exit, err := stdio.Attach(testContext(h.t), socket, process, stdio.Streams{
		Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errOut,
	})
	if err != nil {
		h.t.Fatalf("Attach: %v; stdout %q, stderr %q", err, out.String(), errOut.String())
	}
	return output{out.String(), errOut.String(), exit.Code}
}

func (h *helper) exec(p *typesv1.Process) output {
	h.t.Helper()
	made, err := h.client.Exec(testContext(h.t), &sandboxv1.ExecRequest{Process: p})
	if err != nil {
		h.t.Fatalf("Exec: %v", err)
	}
	return h.attach(made.GetStdioSocket(), made.GetProcessId(), "")
}

// gone waits for the helper's end.
func (h *helper) gone() {
	h.t.Helper()
	select {
	case <-h.died:
	case <-time.After(30 * time.Second):
		h.t.Fatalf("the helper is still there; stderr:\n%s", h.stderr.String())
	}
}

// ended waits for the end of a process by its number, which may be gone already.
func ended(t *testing.T, pidfd int) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 30_000)
	if err != nil || n != 1 {
		t.Fatalf("process did not end: %d, %v", n, err)
	}
}
