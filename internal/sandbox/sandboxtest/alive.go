//go:build integration

package sandboxtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest/world"
	"patchbay.dev/patchbay/resource"
)

// alive is a sandbox with everything, which the checks of its scene share.
type alive struct {
	*Helper
	world   *world.World
	plugin  *world.Plugin
	outside string // directory of the host that is bound to /out and /ro
	volume  string // directory of the host for /data, empty at first
	pid     int    // of the main process
}

// testAlive has one sandbox with a network of each strategy, mounts, limits and
// names, asks it for all that can be asked of one that runs, and kills its helper.
func testAlive(t *testing.T, c Config) {
	w := world.New(t, c.Strategies)
	a := &alive{Helper: Start(t, c, w.Host), world: w, plugin: world.ServePlugin(t, filepath.Join(w.Dir, "p.sock")), outside: t.TempDir(), volume: t.TempDir()}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"bootstrap", a.bootstrap},
		{"start", a.start},
		{"exec", a.execs},
		{"refused commands", a.refusedCommands},
		{"unknown processes", a.unknown},
		{"terminal", a.terminal},
		{"signals", a.signals},
		{"limits", a.limits},
		{"interfaces", a.interfaces},
		{"explain", a.explain},
		{"stats", a.stats},
		{"connect and disconnect", a.connect},
		{"each network again", a.reconnect},
		{"plugin dies", a.pluginDies},
		{"helper is killed", a.helperDies},
	} {
		if !t.Run(step.name, step.run) && step.name == "bootstrap" {
			return // there is nothing to ask
		}
	}
}

func (a *alive) request(t *testing.T) *sandboxv1.BootstrapRequest {
	// Traps are served when the command that runs has ended.
	r := a.Request("sh", "-c", `trap 'echo usr1' USR1; trap 'exit 5' TERM; while :; do sleep 0.2; done`)
	r.Process.Env = []string{"FROM=container"}
	r.Dns = &typesv1.DNSConfiguration{Search: []string{"example.test"}}
	r.ExtraHosts = []*typesv1.ExtraHost{{Address: "192.0.2.1", Name: "far"}}
	r.Mounts = []*typesv1.Mount{
		{Type: typesv1.MountType_MOUNT_TYPE_TMPFS, Target: "/scratch", Options: []string{"size=1m"}},
		{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: a.outside, Target: "/out"},
		{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: a.outside, Target: "/ro", ReadOnly: true},
		{Type: typesv1.MountType_MOUNT_TYPE_VOLUME, Source: a.volume, Target: "/data"},
	}
	for place := range a.config.Strategies {
		r.Attachments = append(r.Attachments, a.world.Attachment(t, a.ID, a.plugin, place))
	}
	r.Attachments[1].Attachment.InterfaceName = "lan"
	r.Attachments[1].Attachment.GatewayPriority = 5
	return r
}

// keys are those of the leases that it has from the start.
func (a *alive) keys() []string {
	var all []string
	for place := range a.config.Strategies {
		all = append(all, world.Key(a.ID, place))
	}
	return all
}

func interfaceAt(place int) string {
	if place == 1 {
		return "lan"
	}
	return fmt.Sprintf("eth%d", place)
}

// sh runs a script in the sandbox.
func (a *alive) sh(t *testing.T, script string) Output {
	t.Helper()
	return a.exec(t, &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"sh", "-c", script}}}, "")
}

func (a *alive) state(t *testing.T) *sandboxv1.StateResponse {
	t.Helper()
	s, err := a.Client.State(bounded(t), &sandboxv1.StateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (a *alive) bootstrap(t *testing.T) {
	r := a.request(t)
	made, err := a.Client.Bootstrap(bounded(t), r)
	if err != nil {
		t.Fatalf("Bootstrap: %v", err)
	}
	a.pid = int(made.GetPid())
	var names, want []string
	for place, m := range made.GetAttachments() {
		names, want = append(names, m.GetInterfaceName()), append(want, interfaceAt(place))
	}
	if !slices.Equal(names, want) || len(names) != len(a.config.Strategies) {
		t.Errorf("interfaces %v, want %v", names, want)
	}
	a.plugin.WantHeld(t, a.keys()...)
	a.plugin.WantReachable(t)
	if s := a.state(t); s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_CREATED || s.GetPid() != made.GetPid() || made.GetPid() <= 0 || len(s.GetFaults()) > 0 {
		t.Errorf("state %v, made %v", s, made)
	}
	_, err = a.Client.Exec(bounded(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"true"}}})
	wantKind(t, "exec before the start", err, errdefs.ErrFailedPrecondition, "created")
}

func (a *alive) start(t *testing.T) {
	started, err := a.Client.Start(bounded(t), &sandboxv1.StartRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s := a.state(t); s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_RUNNING || !s.GetStartedAt().AsTime().Equal(started.GetStartedAt().AsTime()) {
		t.Errorf("state %v, started %v", s, started)
	}
	_, err = a.Client.Start(bounded(t), &sandboxv1.StartRequest{})
	wantKind(t, "start again", err, errdefs.ErrFailedPrecondition, "running")
	_, err = a.Client.Bootstrap(bounded(t), a.request(t))
	wantKind(t, "bootstrap again", err, errdefs.ErrFailedPrecondition, "bootstrapped already")
	a.plugin.WantHeld(t, a.keys()...) // the second one took nothing away
}

// execs are commands with what comes of them.
func (a *alive) execs(t *testing.T) {
	sh := func(script string) *typesv1.Process { return &typesv1.Process{Args: []string{"sh", "-c", script}} }
	with := func(p *typesv1.Process, change func(*typesv1.Process)) *typesv1.Process {
		change(p)
		return p
	}
	as := func(user, script string) *typesv1.Process {
		return with(sh(script), func(p *typesv1.Process) { p.User = user })
	}
	openFiles := sh("ulimit -Sn")
	if a.config.RaisesOpenFiles {
		openFiles = sh(`[ "$(ulimit -Sn)" = "$(ulimit -Hn)" ] && echo 1024 || ulimit -Sn`)
	}
	for _, x := range []struct {
		name  string
		p     *typesv1.Process
		input string
		want  Output
	}{
		{"exit code", sh("exit 7"), "", Output{Code: 7}},
		{"ended by a signal", sh("kill -9 $$"), "", Output{Code: 137}},
		{"streams apart", sh("echo out; echo err >&2"), "", Output{Stdout: "out\n", Stderr: "err\n"}},
		{"input", with(sh("cat; echo end"), func(p *typesv1.Process) { p.Stdin = true }), "one\ntwo\n", Output{Stdout: "one\ntwo\nend\n"}},
		{"no input", sh("cat; echo end"), "", Output{Stdout: "end\n"}},
		{"all output", sh(`head -c 1000000 /dev/zero | tr '\0' x | wc -c; head -c 300000 /dev/zero | tr '\0' x`), "", Output{Stdout: "1000000\n" + strings.Repeat("x", 300000)}},
		{"environment", with(sh("echo $FROM $MORE $HOME"), func(p *typesv1.Process) { p.Env = []string{"MORE=exec"} }), "", Output{Stdout: "container exec /root\n"}},
		{"user and groups by name", as("user", "id -u; id -g; id -G; echo $HOME"), "", Output{Stdout: "1000\n1000\n1000 2000\n/srv/user\n"}},
		{"user by number without an entry", as("4242:4343", "id -u; id -g; echo $HOME"), "", Output{Stdout: "4242\n4343\n/\n"}},
		{"working directory", with(sh("pwd"), func(p *typesv1.Process) { p.WorkingDirectory = "/srv/user" }), "", Output{Stdout: "/srv/user\n"}},
		{"default capabilities", sh("grep -E 'CapEff|CapBnd' /proc/self/status"), "", Output{Stdout: "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"}},
		{"no capabilities for others than root", as("1", "grep -E 'CapEff|CapBnd' /proc/self/status"), "", Output{Stdout: "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"}},
		{"hostname", sh("hostname; cat /etc/hostname"), "", Output{Stdout: "boxhost\nboxhost\n"}},
		{"hosts", sh("grep -c localhost /etc/hosts; grep far /etc/hosts; grep -c boxhost /etc/hosts"), "", Output{Stdout: fmt.Sprintf("2\n192.0.2.1\tfar\n%d\n", 2*len(a.config.Strategies))}},
		{"resolver", sh("cat /etc/resolv.conf"), "", Output{Stdout: "nameserver 127.0.0.11\nsearch example.test\noptions ndots:0\n"}},
		{"tmpfs", sh("df -k /scratch | awk 'NR==2 {print $2}'; stat -c %a /scratch"), "", Output{Stdout: "1024\n1777\n"}},
		{"bind mounts", sh("echo written >/out/file; cat /ro/file; touch /ro/x 2>/dev/null || echo refused"), "", Output{Stdout: "written\nrefused\n"}},
		{"volume with the image's content", sh("cat /data/from-image; stat -c %u /data/from-image"), "", Output{Stdout: "content\n1000\n"}},
		{"process 1 and few others", sh("tr '\\0' ' ' </proc/1/cmdline | cut -d' ' -f1; set -- /proc/[0-9]*; test $# -lt 9 && echo few"), "", Output{Stdout: "sh\nfew\n"}},
		{"open files", openFiles, "", Output{Stdout: "1024\n"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			if diff := gocmp.Diff(x.want, a.exec(t, &sandboxv1.ExecRequest{Process: x.p}, x.input)); diff != "" {
				t.Errorf("(-want +got):\n%.2000s", diff)
			}
		})
	}
	if content, err := os.ReadFile(filepath.Join(a.outside, "file")); err != nil || string(content) != "written\n" {
		t.Errorf("file on the host: %q, %v", content, err)
	}
	t.Run("privileged", func(t *testing.T) {
		got := a.exec(t, &sandboxv1.ExecRequest{Process: sh("grep CapEff /proc/self/status"), Privileged: true}, "")
		if got.Stdout == "CapEff:\t00000000a80425fb\n" || got.Code != 0 {
			t.Errorf("got %+v, want all capabilities", got)
		}
	})
	t.Run("detached", func(t *testing.T) {
		made, err := a.Client.Exec(bounded(t), &sandboxv1.ExecRequest{Process: sh("exit 9"), Detach: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // whoever asks is told, and again
			exit, err := a.Client.Wait(bounded(t), &sandboxv1.WaitRequest{ProcessId: made.GetProcessId()})
			if err != nil || exit.GetExit().GetCode() != 9 || exit.GetExit().GetExitedAt() == nil {
				t.Errorf("ended with %v, %v, want 9", exit, err)
			}
		}
	})
}

func (a *alive) refusedCommands(t *testing.T) {
	for name, x := range notThere {
		_, err := a.Client.Exec(bounded(t), &sandboxv1.ExecRequest{Process: x.process})
		wantKind(t, name, err, x.kind, x.text)
	}
}

// unknown asks for processes that are not there, or not any more.
func (a *alive) unknown(t *testing.T) {
	made, err := a.Client.Exec(bounded(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"true"}}, Detach: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := made.GetProcessId()
	if _, err := a.Client.Wait(bounded(t), &sandboxv1.WaitRequest{ProcessId: ended}); err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	signal := func(process string, number int32) error {
		_, err := a.Client.Signal(ctx, &sandboxv1.SignalRequest{ProcessId: process, Signal: number})
		return err
	}
	_, err = a.Client.Wait(ctx, &sandboxv1.WaitRequest{ProcessId: "exec777"})
	wantKind(t, "wait", err, errdefs.ErrNotFound, "exec777")
	_, err = a.Client.Resize(ctx, &sandboxv1.ResizeRequest{ProcessId: "exec777", Width: 1, Height: 1})
	wantKind(t, "resize", err, errdefs.ErrNotFound, "exec777")
	wantKind(t, "signal", signal("exec777", int32(unix.SIGTERM)), errdefs.ErrNotFound, "exec777")
	wantKind(t, "signal of one that has ended", signal(ended, int32(unix.SIGTERM)), errdefs.ErrNotFound, "")
	wantKind(t, "no signal", signal("", 0), errdefs.ErrInvalidArgument, "want 1 to 64")
	wantKind(t, "no such signal", signal("", 65), errdefs.ErrInvalidArgument, "want 1 to 64")
	_, err = a.Client.Resize(ctx, &sandboxv1.ResizeRequest{Width: 1, Height: 1})
	wantKind(t, "resize without a terminal", err, errdefs.ErrFailedPrecondition, "")
}

func (a *alive) terminal(t *testing.T) {
	made, err := a.Client.Exec(bounded(t), &sandboxv1.ExecRequest{Process: &typesv1.Process{
		Args: []string{"sh", "-c", "tty; echo $TERM; read line; echo got $line; stty size; exit 4"}, Terminal: true, Stdin: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Client.Resize(bounded(t), &sandboxv1.ResizeRequest{ProcessId: made.GetProcessId(), Width: 91, Height: 37}); err != nil {
		t.Fatal(err)
	}
	got := attach(t, made.GetStdioSocket(), made.GetProcessId(), "typed\n")
	if got.Code != 4 || got.Stderr != "" {
		t.Errorf("got %+v, want code 4 and one stream", got)
	}
	// What is typed shows at once, in the middle of a line too.
	for _, want := range []string{"/dev/pts/", "xterm", "got typed\r\n", "37 91\r\n"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("output %q lacks %q", got.Stdout, want)
		}
	}
}

func (a *alive) signals(t *testing.T) {
	ctx := bounded(t)
	begin := func(script string) string {
		t.Helper()
		made, err := a.Client.Exec(ctx, &sandboxv1.ExecRequest{Process: &typesv1.Process{Args: []string{"sh", "-c", script}}, Detach: true})
		if err != nil {
			t.Fatal(err)
		}
		return made.GetProcessId()
	}
	wantCode := func(process string, want int32) {
		t.Helper()
		exit, err := a.Client.Wait(ctx, &sandboxv1.WaitRequest{ProcessId: process})
		if err != nil || exit.GetExit().GetCode() != want {
			t.Errorf("process %s: %v, %v, want %d", process, exit, err, want)
		}
	}
	if fifo := a.sh(t, "mkfifo /tmp/ready"); fifo.Code != 0 {
		t.Fatalf("%+v", fifo)
	}
	// It is ready for the signal when it has said so.
	caught := begin(`trap 'exit 6' TERM; echo ready >/tmp/ready; while :; do sleep 0.1; done`)
	if got := a.sh(t, "cat /tmp/ready"); got.Stdout != "ready\n" {
		t.Fatalf("%+v", got)
	}
	killed := begin("exec sleep 1000")
	for process, signal := range map[string]unix.Signal{caught: unix.SIGTERM, killed: unix.SIGKILL} {
		if _, err := a.Client.Signal(ctx, &sandboxv1.SignalRequest{ProcessId: process, Signal: int32(signal)}); err != nil {
			t.Errorf("signal %s: %v", process, err)
		}
	}
	wantCode(caught, 6)
	wantCode(killed, 137)

	// To all: those that do not expect it end, the main process does.
	bystander := begin("exec sleep 1000")
	if _, err := a.Client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(unix.SIGUSR1), All: true}); err != nil {
		t.Error(err)
	}
	wantCode(bystander, 128+int32(unix.SIGUSR1))
	if s := a.state(t); s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_RUNNING {
		t.Errorf("state %v, want it to run on", s)
	}
}

// limits are reached by more processes than there may be.
func (a *alive) limits(t *testing.T) {
	// The shell that cannot fork ends; the outer one needs no process to clean up.
	got := a.sh(t, `
		(i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo all of them) 2>&1
		kill -9 -1`)
	if strings.Contains(got.Stdout, "all of them") || !strings.Contains(got.Stdout, "fork") {
		t.Errorf("got %+v, want that no more processes can be made", got)
	}
	if s := a.state(t); s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_RUNNING {
		t.Errorf("state %v, want it to run on", s)
	}
}

// helperDies: the kernel ends the sandbox with its helper, its plugins hear of it,
// and the verb removes the rest, as often as it is asked to.
func (a *alive) helperDies(t *testing.T) {
	pidfd, err := unix.PidfdOpen(a.pid, 0)
	if err != nil {
		t.Fatalf("main process %d: %v", a.pid, err)
	}
	defer unix.Close(pidfd)
	if err := a.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for ctx := bounded(t); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(world.Patience.Milliseconds()))
		if n == 1 {
			break
		}
		if !errors.Is(err, unix.EINTR) || ctx.Err() != nil {
			t.Fatalf("the main process goes on: %d, %v", n, err)
		}
	}
	a.Gone()
	a.plugin.WantHeld(t)
	for place, s := range a.config.Strategies {
		if s == resource.StrategyBridgePort || s == resource.StrategyDelegated {
			a.world.WantPorts(t, world.BridgeOf(place), 0)
		}
	}
	a.CleanUp()
	a.CleanUp()
	a.WantNothingLeft()
}
