//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/console"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Stop and start keep addresses and MACs, static ones even from others that
// ask meanwhile.
func TestRestartKeepsAddresses(t *testing.T) {
	onEachRuntimeAtLength(t, testRestartKeepsAddresses)
}

func testRestartKeepsAddresses(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web", "--subnet", "10.40.0.0/24")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.runAsleep("--name", "one", "--network", "web", "--network", "lan")
	h.patchbay("run", "-d", "--name", "fixed", "--network", "web,ip=10.40.0.9", "box", "sleep", "1000")
	before := h.container("one").Status.Attachments

	h.patchbay("stop", "-t", "0", "one", "fixed")
	h.patchbay("run", "-d", "--name", "between", "--network", "web", "--network", "lan", "box", "sleep", "1000")
	if r := h.try("create", "--name", "thief", "--network", "web,ip=10.40.0.9", "box", "true"); r.code != 1 || !strings.Contains(r.stderr, "fixed") {
		t.Errorf("a static address of a stopped container: want it refused, naming the container: %s", r)
	}
	h.patchbay("start", "one", "fixed")
	after := h.container("one").Status.Attachments
	if diff := cmp.Diff(before, after, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("attachments after stop and start (-before +after):\n%s", diff)
	}
	if got := h.attachment("fixed", "web").IPv4Address.Addr().String(); got != "10.40.0.9" {
		t.Errorf("static address: got %s", got)
	}
}

// TestTimerSlack: patchbayd lets its own timers be late, but not those of containers, also
// when it was started by the command line, which does so too.
func TestTimerSlack(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	slack := func(process string) string {
		t.Helper()
		data, err := os.ReadFile("/proc/" + process + "/timerslack_ns")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	if got := slack(fmt.Sprint(h.daemonPID())); got != "1000000" {
		t.Errorf("patchbayd: %s ns, want 1000000", got)
	}
	h.runAsleep("--name", "one", "--network", "none")
	usual := slack("self")
	if got := slack(fmt.Sprint(h.container("one").Status.PID)); got != usual {
		t.Errorf("main process of a container: %s ns, want %s", got, usual)
	}
	if got := strings.TrimSpace(h.patchbay("exec", "one", "cat", "/proc/self/timerslack_ns")); got != usual {
		t.Errorf("exec: %s ns, want %s", got, usual)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("run", "-d", "--name", "running", "--network", "none", "box", "sleep", "1000")
	run := []string{"run", "--rm", "--network", "none", "box"}
	exec := []string{"exec", "running"}
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"success":                {append(run, "true"), 0},
		"own code":               {append(run, "sh", "-c", "exit 42"), 42},
		"by signal":              {[]string{"run", "--rm", "--init", "--network", "none", "box", "sh", "-c", "kill -9 $$"}, 137},
		"command not found":      {append(run, "nowhere"), 127},
		"not executable":         {append(run, "/etc/not-executable"), 126},
		"a directory":            {append(run, "/etc"), 126},
		"no format":              {append(run, "no-format"), 126},
		"no format, with init":   {append([]string{"run", "--rm", "--init", "--network", "none", "box"}, "no-format"), 126},
		"exec no format":         {append(exec, "no-format"), 126},
		"exec success":           {append(exec, "true"), 0},
		"exec own code":          {append(exec, "sh", "-c", "exit 42"), 42},
		"exec command not found": {append(exec, "nowhere"), 127},
		"exec not executable":    {append(exec, "/etc/not-executable"), 126},
		"exec unknown container": {[]string{"exec", "nobody", "true"}, 125},
		"run unknown network":    {[]string{"run", "--rm", "--network", "nowhere", "box", "true"}, 125},
		"unknown flag":           {[]string{"run", "--nonsense", "box"}, 2},
		"unknown command":        {[]string{"nonsense"}, 2},
		"no such container":      {[]string{"stop", "nobody"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if r := h.try(tt.args...); r.code != tt.code {
				t.Errorf("want exit code %d: %s", tt.code, r)
			}
		})
	}
	if left := len(h.containers()); left != 1 {
		t.Errorf("got %d containers, want the running one alone", left)
	}
}

func TestStandardStreams(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	run := []string{"run", "--rm", "--network", "none"}
	if r := h.try(append(run, "box", "sh", "-c", "echo out; echo err >&2")...); r.stdout != "out\n" || r.stderr != "err\n" {
		t.Errorf("streams apart: %s", r)
	}
	if r := h.tryInput("hello\n", append(run, "-i", "box", "cat")...); r.stdout != "hello\n" {
		t.Errorf("standard input: %s", r)
	}
	if r := h.tryInput("hello\n", append(run, "box", "cat")...); r.stdout != "" || r.code != 0 {
		t.Errorf("without -i there is no standard input: %s", r)
	}
	const size = 8 << 20
	if r := h.try(append(run, "box", "sh", "-c", fmt.Sprintf("yes | head -c %d", size))...); len(r.stdout) != size {
		t.Errorf("much output: got %d bytes, want %d", len(r.stdout), size)
	}
	// script(1) gives the command a terminal.
	r := h.command(h.ns, "script", "-qec", binary("patchbay")+" run --rm -t --network none box tty", "/dev/null")
	if r.code != 0 || !strings.Contains(r.stdout, "/dev/pts/") && !strings.Contains(r.stdout, "/dev/console") {
		t.Errorf("terminal: %s", r)
	}
	if r := h.tryInput("", append(run, "-t", "box", "tty")...); r.code == 0 || !strings.Contains(r.stderr, "terminal") {
		t.Errorf("-t without a terminal: want it refused: %s", r)
	}

	h.patchbay("run", "-d", "--name", "one", "--network", "none", "box", "sleep", "1000")
	if r := h.tryInput("hello\n", "exec", "-i", "one", "cat"); r.stdout != "hello\n" {
		t.Errorf("exec -i: %s", r)
	}
	if got := h.patchbay("exec", "-u", "user", "-w", "/tmp", "-e", "A=b", "one", "sh", "-c", "id -un; pwd; echo $A"); got != "user\n/tmp\nb" {
		t.Errorf("exec -u -w -e: got %q", got)
	}
}

func TestLogs(t *testing.T) {
	onEachRuntimeAtLength(t, testLogs)
}

func testLogs(t *testing.T, h *host) {
	h.up()
	h.run("--name", "one", "--network", "none", "box", "sh", "-c",
		"for i in 1 2 3; do echo line $i; done; echo complaint >&2; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo last")
	eventually(t, settle, func() error {
		if r := h.try("logs", "one"); r.stdout != "line 1\nline 2\nline 3\n" || r.stderr != "complaint\n" {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	// Two pipes: which of their lines came last is open.
	if r := h.try("logs", "-n", "1", "one"); strings.Count(r.stdout+r.stderr, "\n") != 1 {
		t.Errorf("logs -n 1: %s", r)
	}
	if r := h.try("logs", "--since", "2099-01-01T00:00:00Z", "one"); r.stdout+r.stderr != "" || r.code != 0 {
		t.Errorf("logs --since the future: %s", r)
	}
	follow := h.begin("logs", "-f", "one")
	h.try("exec", "one", "touch", "/tmp/go") // may be killed by the end that it brings about
	if r := h.wait(follow); r.stdout != "line 1\nline 2\nline 3\nlast\n" || r.code != 0 {
		t.Errorf("logs -f: want all lines, and an end with the container: %s", r)
	}
	if got := h.patchbay("wait", "one"); got != "0" {
		t.Errorf("wait: got %q, want the exit code 0", got)
	}
}

func TestStop(t *testing.T) {
	onEachRuntime(t, testStop)
}

func testStop(t *testing.T, h *host) {
	h.up()
	h.run("--name", "one", "--network", "none", "box", "sh", "-c",
		"[ -e /again ] || trap 'exit 9' TERM; echo >/again; trap 'echo hup' HUP; echo ready; while true; do sleep 0.1; done")
	ready := func() error {
		if r := h.try("logs", "one"); !strings.Contains(r.stdout, "ready") {
			return fmt.Errorf("%s", r)
		}
		return nil
	}
	eventually(t, settle, ready)
	h.patchbay("kill", "-s", "HUP", "one")
	eventually(t, settle, func() error {
		if r := h.try("logs", "one"); !strings.Contains(r.stdout, "hup") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	h.patchbay("stop", "-t", "120", "one") // or a busy machine lets it be killed
	if s := h.container("one").Status; s.State != resource.ContainerStopped || s.ExitCode != 9 {
		t.Errorf("stop: got %+v, want the exit code 9 of the trap", s)
	}
	// One that does not end in time is killed: its process 1 has no handler this time.
	h.patchbay("start", "one")
	h.patchbay("stop", "-t", "1", "one")
	if s := h.container("one").Status; s.State != resource.ContainerStopped || s.ExitCode != 137 {
		t.Errorf("stop of one that goes on: got %+v, want the exit code 137", s)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	// Neither the init's threads nor its variables are the command's.
	if r := h.try("run", "--rm", "--init", "--pids-limit", "1", "-e", "GOMAXPROCS=3", "--network", "none", "box", "sh", "-c", "echo $GOMAXPROCS"); r.stdout != "3\n" || r.code != 0 {
		t.Errorf("one process with --init: %s", r)
	}
	if r := h.try("run", "--rm", "--init", "--pids-limit", "10", "--network", "none", "box", "sh", "-c", "for i in $(seq 30); do sleep 9 & done; echo all of them"); r.code == 0 || strings.Contains(r.stdout, "all") {
		t.Errorf("30 processes with --init and a limit of 10: %s", r)
	}
	// PID 1 without a handler ignores SIGTERM (pid_namespaces(7)); with --init
	// the process is not PID 1.
	h.patchbay("run", "-d", "--init", "--name", "two", "--network", "none", "box", "sleep", "1000")
	h.patchbay("stop", "-t", "120", "two")
	if s := h.container("two").Status; s.ExitCode != 143 {
		t.Errorf("stop with --init: got %+v, want exit code 143", s)
	}
	h.patchbay("run", "-d", "--name", "three", "--network", "none", "box", "sleep", "1000")
	h.checkExecSignals(t, "three")
	h.patchbay("kill", "three")
	if got := h.patchbay("wait", "three"); got != "137" {
		t.Errorf("wait after kill: got %q, want 137", got)
	}
}

// checkExecSignals ends processes of "exec" by signals to their command line, which
// then exits as they do.
func (h *host) checkExecSignals(t *testing.T, container string) {
	t.Helper()
	h.patchbay("exec", container, "mkfifo", "/tmp/running")
	sleeps := []string{container, "sh", "-c", "echo yes >/tmp/running; exec sleep 1000"}
	running := func() { h.patchbay("exec", container, "cat", "/tmp/running") }
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		p := h.begin(append([]string{"exec"}, sleeps...)...)
		running()
		p.Process.Signal(signal)
		// A signal that comes before the start was answered interrupts the command line.
		if r := h.wait(p); r.code != 128+int(signal) && r.code != 130 {
			t.Errorf("exec that gets %v: want it to end by that: %s", signal, r)
		}
	}
	ours, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(errors.Join(err, ours.Close()))
	}
	p := h.prepare(theirs, binary("patchbay"), append([]string{"exec", "-it"}, sleeps...)...)
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = errors.Join(h.ns.Do(p.Start), theirs.Close())
	if err != nil {
		t.Fatal(errors.Join(err, ours.Close()))
	}
	running()
	eventually(t, settle, func() error { // the command line has its terminal: before that it fails for want of one
		state, err := unix.IoctlGetTermios(int(ours.Fd()), unix.TCGETS)
		if err == nil && state.Lflag&unix.ICANON != 0 {
			err = errors.New("the terminal is not raw")
		}
		return err
	})
	ours.Close()
	if r := h.wait(p); r.code != 128+int(unix.SIGHUP) && r.code != 130 {
		t.Errorf("exec whose terminal is closed: want it to end by that: %s", r)
	}
}

func TestContainerOptions(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	data := h.write("data/file", []byte("from the host\n"), 0o644)
	environment := h.write("env", []byte("# a comment\nFROM_FILE=1\n"), 0o644)
	for name, tt := range map[string]struct {
		args []string // between "run --rm" and the image
		do   string   // a shell command
		want string
	}{
		"environment":     {[]string{"-e", "A=b"}, "echo $A", "b"},
		"env file":        {[]string{"--env-file", environment}, "echo $FROM_FILE", "1"},
		"directory":       {[]string{"-w", "/var"}, "pwd", "/var"},
		"new directory":   {[]string{"-w", "/made/up"}, "pwd", "/made/up"},
		"user by name":    {[]string{"-u", "user"}, "id -u; id -g; id -G", "1000\n1000\n1000 2000"},
		"user by number":  {[]string{"-u", "7:8"}, "id -u; id -g", "7\n8"},
		"hostname":        {[]string{"--hostname", "boat"}, "hostname; cat /etc/hostname", "boat\nboat"},
		"bind":            {[]string{"-v", data + ":/file"}, "cat /file", "from the host"},
		"bind read only":  {[]string{"-v", data + ":/file:ro"}, "echo x 2>/dev/null >/file || echo refused", "refused"},
		"mount bind":      {[]string{"--mount", "type=bind,source=" + data + ",target=/file,readonly"}, "cat /file", "from the host"},
		"mount tmpfs":     {[]string{"--mount", "type=tmpfs,target=/scratch"}, "grep -c ' /scratch tmpfs ' /proc/mounts", "1"},
		"read only":       {[]string{"--read-only"}, "echo x 2>/dev/null >/x || echo refused", "refused"},
		"no capabilities": {[]string{"--cap-drop", "ALL"}, "grep CapEff /proc/self/status | tr -d '\\t '", "CapEff:0000000000000000"},
		"one capability":  {[]string{"--cap-drop", "all", "--cap-add", "net_admin"}, "grep CapEff /proc/self/status | tr -d '\\t '", "CapEff:0000000000001000"},
		"init":            {[]string{"--init"}, "test $$ != 1 && echo reaped", "reaped"},
		"seccomp":         {nil, "grep Seccomp: /proc/self/status | tr -d '\\t '", "Seccomp:2"},
		"masked":          {nil, "ls /sys/firmware | wc -l; wc -c </proc/keys", "0\n0"},
		"pid namespace":   {nil, "echo $$", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"run", "--rm", "--network", "none"}, tt.args...)
			r := h.try(append(args, "box", "sh", "-c", tt.do)...)
			if r.code != 0 || strings.TrimSpace(r.stdout) != tt.want {
				t.Errorf("want %q: %s", tt.want, r)
			}
		})
	}
	if content, err := os.ReadFile(data); err != nil || string(content) != "from the host\n" {
		t.Errorf("file of the host: got %q, %v", content, err)
	}
	if r := h.try("run", "--rm", "--network", "none", "--entrypoint", "echo", "box", "hello"); r.stdout != "hello\n" {
		t.Errorf("--entrypoint: %s", r)
	}
	if r := h.try("run", "--rm", "--network", "none", "--pids-limit", "5", "box", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"); !strings.Contains(r.stderr, "fork") {
		t.Errorf("--pids-limit: want a failing fork: %s", r)
	}
	h.patchbay("run", "-d", "--name", "hungry", "--network", "none", "--memory", "16m", "box", "sh", "-c", "tail /dev/zero")
	if got := h.patchbay("wait", "hungry"); got != "137" {
		t.Errorf("--memory: got exit code %s, want 137", got)
	}
	if s := h.container("hungry").Status; !s.OutOfMemory {
		t.Errorf("--memory: got %+v, want out of memory", s)
	}
}

// /etc/hosts and /etc/resolv.conf are right in every case.
func TestNameFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "one", "--hostname", "boat", "--network", "web", "box", "sleep", "1000")
	hosts := h.patchbay("exec", "one", "cat", "/etc/hosts")
	a := h.attachment("one", "web")
	for _, address := range []string{"127.0.0.1", "::1", a.IPv4Address.Addr().String(), a.IPv6Address.Addr().String()} {
		if !hasHost(hosts, address, "boat") && !hasHost(hosts, address, "localhost") {
			t.Errorf("/etc/hosts: want a line for %s:\n%s", address, hosts)
		}
	}
	if got := h.patchbay("exec", "one", "grep", "^nameserver", "/etc/resolv.conf"); got != "nameserver 127.0.0.11" {
		t.Errorf("/etc/resolv.conf: got %q, want the container's own resolver alone", got)
	}
	if got := h.patchbay("run", "--rm", "--network", "none", "box", "sh", "-c", "grep -c ^nameserver /etc/resolv.conf; true"); got != "0" {
		t.Errorf("--network none: got %s name servers, want none", got)
	}
}

func hasHost(hosts, address, name string) bool {
	for line := range strings.Lines(hosts) {
		fields := strings.Fields(line)
		for i, f := range fields {
			if i > 0 && fields[0] == address && f == name {
				return true
			}
		}
	}
	return false
}

// Of a thousand lives nothing stays: neither on the host nor in the networks.
func TestCycles(t *testing.T) {
	t.Parallel()
	cycles := 100
	if v := os.Getenv("PATCHBAY_SOAK_CYCLES"); v != "" {
		if _, err := fmt.Sscan(v, &cycles); err != nil {
			t.Fatalf("PATCHBAY_SOAK_CYCLES=%q: want a number", v)
		}
	}
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	daemon := h.daemonPID()
	cycle := func() {
		h.patchbay("create", "--name", "one", "--network", "web", "--network", "lan", "box", "sleep", "1000")
		h.patchbay("start", "one")
		h.patchbay("stop", "-t", "0", "one")
		h.patchbay("delete", "one")
	}
	cycle() // a bridge gets its link-local address with its first port
	warm := openFiles(daemon)
	var between snapshot
	eventually(t, settle, func() error { // retired ports are removed a little later
		between = h.between()
		if i := slices.IndexFunc(between["link"], func(l string) bool { return strings.HasPrefix(l, "pbx") }); i >= 0 {
			return fmt.Errorf("a retired port: %s", between["link"][i])
		}
		return nil
	})
	for range cycles {
		cycle()
	}
	for _, network := range []string{"web", "lan"} {
		eventually(t, settle, func() error {
			if s := h.network(network).Status; s.AddressesInUse != 0 {
				return fmt.Errorf("network %s: %d addresses in use, want 0", network, s.AddressesInUse)
			}
			return nil
		})
	}
	eventually(t, settle, func() error {
		if err := between.same(h.snapshot()); err != nil {
			return fmt.Errorf("after %d cycles: %w", cycles, err)
		}
		return nil
	})
	eventually(t, settle, func() error {
		if now := openFiles(daemon); now > warm+10 {
			return fmt.Errorf("patchbayd has %d open files, had %d before", now, warm)
		}
		return nil
	})
	if entries, err := os.ReadDir(h.root + "/containers"); err == nil && len(entries) > 0 {
		t.Errorf("%d directories of containers are left", len(entries))
	}
}

func openFiles(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}
