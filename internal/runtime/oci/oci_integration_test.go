//go:build integration

package oci_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest"
)

// What is true of namespaces alone.
func TestInside(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script string
		init   bool
		want   string
	}{
		"seccomp filter":             {script: `grep '^Seccomp:' /proc/self/status`, want: "Seccomp:\t2\n"},
		"masked and read-only paths": {script: `cat /proc/kcore /proc/timer_list /proc/keys 2>/dev/null | wc -c; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused`, want: "0\nrefused\n"},
		"process 1 and no other":     {script: `echo $$; test $(ls -d /proc/[0-9]* | wc -l) -lt 6 && echo few`, want: "1\nfew\n"},
		"init":                       {script: `echo $$ | grep -v '^1$' >/dev/null && tr '\0' ' ' </proc/1/cmdline | cut -d' ' -f1`, init: true, want: "/dev/init\n"},
		"no networks":                {script: `ls /sys/class/net; cat /etc/resolv.conf`, want: "lo\nnameserver 192.0.2.53\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := sandboxtest.Start(t, config, nil)
			r := h.Request("sh", "-c", tc.script)
			r.Init = tc.init
			r.Dns = &typesv1.DNSConfiguration{Servers: []string{"192.0.2.53"}}
			if diff := cmp.Diff(sandboxtest.Output{Stdout: tc.want}, h.Run(r, "")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.script, diff)
			}
			h.Gone()
		})
	}
}

// The main process is process 1 of a PID namespace below the helper's.
func TestMainProcess(t *testing.T) {
	t.Parallel()
	h := sandboxtest.Start(t, config, nil)
	made := h.Begin(h.Request("sleep", "1000"))
	// The host's number, the helper's, and 1 in the container (proc(5)).
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", made.GetPid()))
	if err != nil || !regexp.MustCompile(`(?m)^NSpid:\t\d+\t\d+\t1$`).Match(status) {
		t.Errorf("process %d is not process 1 of the container (%v):\n%s", made.GetPid(), err, status)
	}
}

// A signal that comes at once is passed on too: before the command has begun,
// perhaps before init has.
func TestInitPassesSignalsOn(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"crun", "runc"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			h := sandboxtest.Start(t, by(program), nil)
			r := h.Request("sleep", "1000") // as process 1 it would ignore SIGTERM
			r.Init = true
			made := h.Begin(r)
			if _, err := h.Client.Signal(h.Context(), &sandboxv1.SignalRequest{Signal: int32(unix.SIGTERM)}); err != nil {
				t.Error(err)
			}
			if got := h.Attach(made.GetStdioSocket(), "", ""); got.Code != 143 {
				t.Errorf("run = %+v, want 143", got)
			}
		})
	}
}

// The second container has the filter that was compiled for the first, and so have
// the processes that are started in it later. A file that others could have written
// is not used.
func TestFilterCache(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	const script = `grep '^Seccomp:' /proc/self/status; unshare -U true 2>/dev/null || echo refused`
	want := sandboxtest.Output{Stdout: "Seccomp:\t2\nrefused\n"}
	files := func() []string {
		found, _ := filepath.Glob(filepath.Join(cache, "seccomp-*"))
		return found
	}
	run := func(wantAnnotation bool) {
		t.Helper()
		c := by("crun", "PATCHBAY_CACHE_DIR="+cache)
		h := sandboxtest.Start(t, c, nil)
		h.Begin(h.Request("sleep", "1000"))
		config, err := os.ReadFile(filepath.Join(h.Dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(config, []byte("seccomp_bpf_data")); got != wantAnnotation {
			t.Errorf("compiled filter given: %v, want %v", got, wantAnnotation)
		}
		if diff := cmp.Diff(want, h.Exec(&typesv1.Process{Args: []string{"sh", "-c", script}})); diff != "" {
			t.Errorf("exec (-want +got):\n%s", diff)
		}
		h2 := sandboxtest.Start(t, c, nil)
		if diff := cmp.Diff(want, h2.Run(h2.Request("sh", "-c", script), "")); diff != "" {
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
