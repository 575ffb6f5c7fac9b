//go:build integration

package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/stdio"
)

func readExit(t *testing.T, h *helper) sandbox.ExitStatus {
	t.Helper()
	var exit sandbox.ExitStatus
	data, err := os.ReadFile(filepath.Join(h.dir, sandbox.ExitFile))
	if err == nil {
		err = json.Unmarshal(data, &exit)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", sandbox.ExitFile, err, data)
	}
	return exit
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"crun", "runc"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME="+runtime)
			r := h.request("sh", "-c", `cat; echo "$HOSTNAME $HOME $PWD"; echo bad >&2; exit 7`)
			r.Process.Stdin = true
			r.Process.WorkingDirectory = "/made/by/us"
			got := h.run(r, "hello\n")
			want := output{Stdout: "hello\nboxhost /root /made/by/us\n", Stderr: "bad\n", Code: 7}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
			h.gone()
			if exit := readExit(t, h); exit.Code != 7 || exit.ExitedAt.IsZero() || exit.OutOfMemory {
				t.Errorf("exit = %+v, want code 7 and a time", exit)
			}
			log, err := os.ReadFile(filepath.Join(h.root, "log"))
			if err != nil || strings.Count(string(log), "\n") != 3 {
				t.Errorf("log = %s (%v), want three entries", log, err)
			}
			if left := h.cgroups(); len(left) > 0 {
				t.Errorf("cgroups left after a clean end: %v", left)
			}
		})
	}
}

// TestInside asks a container about itself.
func TestInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	volume := t.TempDir()
	for name, tc := range map[string]struct {
		script string
		change func(*sandboxv1.BootstrapRequest)
		want   string
	}{
		"user and groups by name": {
			script: `id -u; id -g; id -G; echo $HOME`,
			change: func(r *sandboxv1.BootstrapRequest) { r.Process.User = "user" },
			want:   "1000\n1000\n1000 2000\n/srv/user\n",
		},
		"user by number without an entry": {
			script: `id -u; id -g; echo $HOME`,
			change: func(r *sandboxv1.BootstrapRequest) { r.Process.User = "4242:4343" },
			want:   "4242\n4343\n/\n",
		},
		"default capabilities": {
			script: `grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status`,
			want:   "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\n",
		},
		"no capabilities for others than root": {
			script: `grep -E 'CapEff|CapBnd' /proc/self/status`,
			change: func(r *sandboxv1.BootstrapRequest) { r.Process.User = "1" },
			want:   "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n",
		},
		"chosen capabilities": {
			script: `grep CapEff /proc/self/status`,
			change: func(r *sandboxv1.BootstrapRequest) {
				r.CapabilitiesDrop, r.CapabilitiesAdd = []string{"ALL"}, []string{"CAP_NET_ADMIN"}
			},
			want: "CapEff:\t0000000000001000\n",
		},
		"seccomp filter": {script: `grep '^Seccomp:' /proc/self/status`, want: "Seccomp:\t2\n"},
		"read-only root": {
			script: `touch /x 2>/dev/null || echo refused; touch /etc/hosts && echo hosts writable`,
			change: func(r *sandboxv1.BootstrapRequest) { r.RootFilesystem.ReadOnly = true },
			want:   "refused\nhosts writable\n",
		},
		"process 1 and no other": {script: `echo $$; test $(ls -d /proc/[0-9]* | wc -l) -lt 6 && echo few`, want: "1\nfew\n"},
		"masked and read-only paths": {
			script: `cat /proc/kcore /proc/timer_list /proc/keys 2>/dev/null | wc -c; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused`,
			want:   "0\nrefused\n",
		},
		"generated files": {
			script: `hostname; cat /etc/hostname; grep -c localhost /etc/hosts; tail -n 1 /etc/hosts; cat /etc/resolv.conf`,
			change: func(r *sandboxv1.BootstrapRequest) {
				r.Dns = &typesv1.DNSConfiguration{Servers: []string{"192.0.2.53"}}
				r.ExtraHosts = []*typesv1.ExtraHost{{Address: "192.0.2.1", Name: "far"}}
			},
			want: "boxhost\nboxhost\n2\n192.0.2.1\tfar\nnameserver 192.0.2.53\n",
		},
		"bind mounts": {
			script: `echo written >/out/file; touch /ro/x 2>/dev/null || echo refused`,
			change: func(r *sandboxv1.BootstrapRequest) {
				r.Mounts = []*typesv1.Mount{
					{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: outside, Target: "/out"},
					{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: outside, Target: "/ro", ReadOnly: true},
				}
			},
			want: "refused\n",
		},
		"tmpfs": {
			script: `df -k /scratch | awk 'NR==2 {print $2}'; stat -c %a /scratch`,
			change: func(r *sandboxv1.BootstrapRequest) {
				r.Mounts = []*typesv1.Mount{{Type: typesv1.MountType_MOUNT_TYPE_TMPFS, Target: "/scratch", Options: []string{"size=1m"}}}
			},
			want: "1024\n1777\n",
		},
		"empty volume gets the image's content": {
			script: `cat /data/from-image; stat -c %u /data/from-image`,
			change: func(r *sandboxv1.BootstrapRequest) {
				r.Mounts = []*typesv1.Mount{{Type: typesv1.MountType_MOUNT_TYPE_VOLUME, Source: volume, Target: "/data"}}
			},
			want: "content\n1000\n",
		},
		"open files": {script: `ulimit -Sn`, want: "1024\n"},
		"init":       {script: `echo $$ | grep -v '^1$' >/dev/null && tr '\0' ' ' </proc/1/cmdline | cut -d' ' -f1`, change: func(r *sandboxv1.BootstrapRequest) { r.Init = true }, want: "/dev/init\n"},
		"loopback":   {script: `ip -o addr show lo | awk '{print $4}'`, want: "127.0.0.1/8\n::1/128\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil)
			r := h.request("sh", "-c", tc.script)
			if tc.change != nil {
				tc.change(r)
			}
			got := h.run(r, "")
			if diff := cmp.Diff(output{Stdout: tc.want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.script, diff)
			}
			h.gone()
		})
	}
}

// TestBadCommands: each failure has its kind, and nothing is left.
func TestBadCommands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*sandboxv1.BootstrapRequest)
		kind   error
		text   string
	}{
		"not in PATH":    {func(r *sandboxv1.BootstrapRequest) { r.Process.Args = []string{"nothere"} }, errdefs.ErrNotFound, `exec: "nothere"`},
		"no such file":   {func(r *sandboxv1.BootstrapRequest) { r.Process.Args = []string{"/nothere"} }, errdefs.ErrNotFound, `exec: "/nothere"`},
		"not executable": {func(r *sandboxv1.BootstrapRequest) { r.Process.Args = []string{"/etc/plain"} }, errdefs.ErrPermissionDenied, `exec: "/etc/plain"`},
		"a directory":    {func(r *sandboxv1.BootstrapRequest) { r.Process.Args = []string{"/etc"} }, errdefs.ErrPermissionDenied, `exec: "/etc"`},
		"with init":      {func(r *sandboxv1.BootstrapRequest) { r.Process.Args, r.Init = []string{"nothere"}, true }, errdefs.ErrNotFound, `exec: "nothere"`},
		"no such user":   {func(r *sandboxv1.BootstrapRequest) { r.Process.User = "nobodyhere" }, errdefs.ErrInvalidArgument, `user "nobodyhere"`},
		"no mount source": {func(r *sandboxv1.BootstrapRequest) {
			r.Mounts = []*typesv1.Mount{{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: "/not/here", Target: "/x"}}
		}, errdefs.ErrInvalidArgument, "/not/here"},
		"workdir is a file": {func(r *sandboxv1.BootstrapRequest) { r.Process.WorkingDirectory = "/etc/plain" }, errdefs.ErrInvalidArgument, "/etc/plain"},
		"bad capability":    {func(r *sandboxv1.BootstrapRequest) { r.CapabilitiesAdd = []string{"CAP_FLY"} }, errdefs.ErrInvalidArgument, "CAP_FLY"},
	} {
		for _, runtime := range []string{"crun", "runc"} {
			t.Run(name+"/"+runtime, func(t *testing.T) {
				t.Parallel()
				h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME="+runtime)
				r := h.request("true")
				tc.change(r)
				_, err := h.client.Bootstrap(testContext(t), r)
				if !errors.Is(err, tc.kind) || !strings.Contains(fmt.Sprint(err), tc.text) {
					t.Errorf("Bootstrap: %v, want %v with %q", err, tc.kind, tc.text)
				}
				if strings.Contains(fmt.Sprint(err), "\n") {
					t.Errorf("Bootstrap: more than one line: %v", err)
				}
				h.gone()
				if left := h.cgroups(); len(left) > 0 {
					t.Errorf("cgroups left: %v", left)
				}
			})
		}
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"crun", "runc"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME="+runtime)
			r := h.request("sleep", "1000")
			r.Process.Env = []string{"FROM=container"}
			h.start(r)
			got := h.exec(&typesv1.Process{Args: []string{"sh", "-c", "id -u; echo $FROM $MORE; exit 3"}, User: "user", Env: []string{"MORE=exec"}})
			if diff := cmp.Diff(output{Stdout: "1000\ncontainer exec\n", Code: 3}, got); diff != "" {
				t.Errorf("exec (-want +got):\n%s", diff)
			}
			_, err := h.client.Exec(testContext(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"nothere"}}})
			if !errors.Is(err, errdefs.ErrNotFound) || !strings.HasPrefix(err.Error(), "exec:") {
				t.Errorf("exec of nothing: %v, want not found", err)
			}
			_, err = h.client.Exec(testContext(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"/etc/plain"}}})
			if !errors.Is(err, errdefs.ErrPermissionDenied) || !strings.HasPrefix(err.Error(), "exec:") {
				t.Errorf("exec of a plain file: %v, want permission denied", err)
			}
			made, err := h.client.Exec(testContext(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"grep", "CapEff", "/proc/self/status"}}, Privileged: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := h.attach(made.GetStdioSocket(), made.GetProcessId(), ""); got.Stdout == "CapEff:\t00000000a80425fb\n" || got.Code != 0 {
				t.Errorf("privileged exec = %+v, want all capabilities", got)
			}
			made, err = h.client.Exec(testContext(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"sh", "-c", "exit 9"}}, Detach: true})
			if err != nil {
				t.Fatal(err)
			}
			exit, err := h.client.Wait(testContext(t), &sandboxv1.WaitRequest{ProcessId: made.GetProcessId()})
			if err != nil || exit.GetExit().GetCode() != 9 {
				t.Errorf("detached exec ended with %v, %v, want 9", exit, err)
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, runtime := range []string{"crun", "runc"} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME="+runtime)
			r := h.request("sh", "-c", `tty >/dev/null && echo is a terminal; echo $TERM; read line; echo "got $line"; stty size; exit 4`)
			r.Process.Terminal, r.Process.Stdin = true, true
			made := h.start(r)
			if _, err := h.client.Resize(testContext(t), &sandboxv1.ResizeRequest{Width: 91, Height: 37}); err != nil {
				t.Fatal(err)
			}
			got := h.attach(made.GetStdioSocket(), "", "typed\n")
			if got.Code != 4 {
				t.Errorf("code = %d, want 4", got.Code)
			}
			for _, want := range []string{"is a terminal\r\n", "xterm\r\n", "got typed\r\n", "37 91\r\n"} {
				if !strings.Contains(got.Stdout, want) {
					t.Errorf("output %q lacks %q", got.Stdout, want)
				}
			}
		})
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	t.Run("caught", func(t *testing.T) {
		t.Parallel()
		h := startHelper(t, nil)
		made := h.start(h.request("sh", "-c", `trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done`))
		ctx := testContext(t)
		out := signalOnOutput(func() {
			if _, err := h.client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM)}); err != nil {
				t.Error(err)
			}
		})
		exit, err := stdio.Attach(ctx, made.GetStdioSocket(), "", stdio.Streams{Stdout: out})
		if err != nil || exit.Code != 5 {
			t.Errorf("exit = %+v, %v, want 5", exit, err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		h := startHelper(t, nil)
		made := h.start(h.request("sleep", "1000"))
		if _, err := h.client.Signal(testContext(t), &sandboxv1.SignalRequest{Signal: int32(unix.SIGKILL), All: true}); err != nil {
			t.Fatal(err)
		}
		if got := h.attach(made.GetStdioSocket(), "", ""); got.Code != 137 {
			t.Errorf("code = %d, want 137", got.Code)
		}
	})
	for _, runtime := range []string{"crun", "runc"} {
		t.Run("init passes on/"+runtime, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME="+runtime)
			r := h.request("sleep", "1000") // as process 1 it would ignore SIGTERM
			r.Init = true
			made := h.start(r)
			// At once: before the command has begun, perhaps before init has.
			if _, err := h.client.Signal(testContext(t), &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM)}); err != nil {
				t.Error(err)
			}
			if got := h.attach(made.GetStdioSocket(), "", ""); got.Code != 143 {
				t.Errorf("run = %+v, want 143", got)
			}
		})
	}
}

// signalOnOutput calls itself with each piece of output.
type signalOnOutput func()

func (f signalOnOutput) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	r := h.request("sh", "-c", `x=$(yes | head -c 200000000); echo survived`)
	r.Resources = &typesv1.Resources{MemoryBytes: 32 << 20, NanoCpus: 5e8, Pids: 50}
	got := h.run(r, "")
	h.gone()
	exit := readExit(t, h)
	if strings.Contains(got.Stdout, "survived") || !exit.OutOfMemory || exit.Message == "" {
		t.Errorf("output %+v, exit %+v, want out of memory", got, exit)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *helper){
		"call": func(t *testing.T, h *helper) {
			if _, err := h.client.Shutdown(testContext(t), &sandboxv1.ShutdownRequest{}); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		},
		"SIGTERM": func(t *testing.T, h *helper) {
			if err := h.cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name+" while running", func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil)
			h.start(h.request("sleep", "1000")) // nobody has attached: not waited for
			end(t, h)
			h.gone()
			if exit := readExit(t, h); exit.Code != 137 {
				t.Errorf("exit = %+v, want 137", exit)
			}
			if left := h.cgroups(); len(left) > 0 {
				t.Errorf("cgroups left: %v", left)
			}
		})
		t.Run(name+" when created", func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil)
			h.bootstrap(h.request("sleep", "1000"))
			end(t, h)
			h.gone()
		})
		t.Run(name+" when empty", func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, nil)
			if _, err := h.client.Hello(testContext(t), &sandboxv1.HelloRequest{MinProtocol: 1, MaxProtocol: 1}); err != nil {
				t.Fatal(err)
			}
			end(t, h)
			h.gone()
		})
	}
}

// TestHelperKilled: the kernel ends the container with its helper, and cleanup
// removes the rest.
func TestHelperKilled(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	made := h.start(h.request("sh", "-c", "sleep 1000 & sleep 1000"))
	pidfd, err := unix.PidfdOpen(int(made.GetPid()), 0)
	if err != nil {
		t.Fatalf("main process %d: %v", made.GetPid(), err)
	}
	defer unix.Close(pidfd)
	// The host's number, the helper's, and 1 in the container (proc(5)).
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", made.GetPid()))
	if err != nil || !regexp.MustCompile(`(?m)^NSpid:\t\d+\t\d+\t1$`).Match(status) {
		t.Errorf("process %d is not process 1 of the container (%v):\n%s", made.GetPid(), err, status)
	}
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended(t, pidfd)
	h.gone()
	h.cleanup()
	h.cleanup()
	if left := h.cgroups(); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), h.dir) {
		t.Errorf("mounts of the container on the host: %v", err)
	}
}

// TestOutputWhole: no byte is lost between the end of the process and that of
// its helper.
func TestOutputWhole(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	r := h.request("sh", "-c", `head -c 5000000 /dev/zero | tr '\0' x`)
	made := h.start(r)
	var out countWriter
	exit, err := stdio.Attach(testContext(t), made.GetStdioSocket(), "", stdio.Streams{Stdout: &out})
	if err != nil || exit.Code != 0 || out != 5_000_000 {
		t.Errorf("attach = %+v, %v with %d bytes, want all of 5000000", exit, err, out)
	}
}

type countWriter int

func (c *countWriter) Write(p []byte) (int, error) { *c += countWriter(len(p)); return len(p), nil }

// TestDetachAndAttachAgain: a session that goes away leaves the container alone.
func TestDetachAndAttachAgain(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	r := h.request("cat")
	r.Process.Stdin = true
	made := h.start(r)
	ctx, cancel := context.WithCancel(testContext(t))
	in, inWriter := net.Pipe()
	defer in.Close()
	first, firstWriter := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := stdio.Attach(ctx, made.GetStdioSocket(), "", stdio.Streams{Stdin: in, Stdout: firstWriter})
		done <- err
	}()
	if _, err := inWriter.Write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(first, buf); err != nil || !bytes.Equal(buf, []byte("one\n")) {
		t.Fatalf("echo = %q, %v", buf, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("detach: %v, want canceled", err)
	}
	if got := h.attach(made.GetStdioSocket(), "", "two\n"); got.Stdout != "two\n" || got.Code != 0 {
		t.Errorf("second session = %+v, want two and code 0", got)
	}
}

// TestFilterCache: the second container has the filter that was compiled for the
// first, and so have the processes that are started in it later. A file that
// others could have written is not used.
func TestFilterCache(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	const script = `grep '^Seccomp:' /proc/self/status; unshare -U true 2>/dev/null || echo refused`
	want := output{Stdout: "Seccomp:\t2\nrefused\n"}
	files := func() []string {
		found, _ := filepath.Glob(filepath.Join(cache, "seccomp-*"))
		return found
	}
	run := func(wantAnnotation bool) {
		t.Helper()
		h := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME=crun", "PATCHBAY_CACHE_DIR="+cache)
		h.start(h.request("sleep", "1000"))
		config, err := os.ReadFile(filepath.Join(h.dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(config, []byte("seccomp_bpf_data")); got != wantAnnotation {
			t.Errorf("compiled filter given: %v, want %v", got, wantAnnotation)
		}
		if diff := cmp.Diff(want, h.exec(&typesv1.Process{Args: []string{"sh", "-c", script}})); diff != "" {
			t.Errorf("exec (-want +got):\n%s", diff)
		}
		h2 := startHelper(t, nil, "PATCHBAY_OCI_RUNTIME=crun", "PATCHBAY_CACHE_DIR="+cache)
		if diff := cmp.Diff(want, h2.run(h2.request("sh", "-c", script), "")); diff != "" {
			t.Errorf("run (-want +got):\n%s", diff)
		}
	}
	run(false)
	if len(files()) != 1 {
		t.Fatalf("cache holds %v, want one filter", files())
	}
	run(true)
	if err := os.Chmod(files()[0], 0o666); err != nil {
		t.Fatal(err)
	}
	run(false)
}
