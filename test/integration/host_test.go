//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// The addresses of the host's uplink and of a far server (RFC 5737, RFC 3849).
const (
	hostIPv4     = "192.0.2.2"
	hostIPv6     = "2001:db8::2"
	farIPv4      = "198.51.100.1"
	farIPv6      = "2001:db8:ffff::1"
	uplink       = "uplink"
	settle       = 3 * time.Minute // for what the kernel or a supervisor does on its own: longer than that takes on any machine
	commandLimit = 5 * time.Minute // longer than Patchbay's own limits: it is to say what it has waited for
)

func TestMain(m *testing.M) {
	if os.Getenv(guardVariable) != "" {
		beGuard(os.Stdin)
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "integration tests: want root, for namespaces, mounts and cgroups")
		os.Exit(1)
	}
	if _, err := os.Stat(binary("patchbay")); err != nil {
		fmt.Fprintf(os.Stderr, "integration tests: %v: run \"make build\" first\n", err)
		os.Exit(1)
	}
	if err := startGuard(); err != nil {
		fmt.Fprintf(os.Stderr, "integration tests: start their guard: %v\n", err)
		os.Exit(1)
	}
	code := m.Run()
	if dir, err := machines(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// host is one machine as Patchbay sees it: a network namespace with an uplink
// to another one, and roots of its own.
type host struct {
	t        *testing.T
	ns       *netns.Namespace
	internet *netns.Namespace
	dir      string
	root     string
	runRoot  string
	env      []string
	before   snapshot
	runtime  string // of the containers that the test is about

	mu  sync.Mutex
	ids map[string]bool // guarded by mu; of all containers that were seen
}

// newHost makes a host without a running daemon. At the end of the test it
// stops Patchbay and fails the test if anything is left.
func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pb")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{
		t: t, dir: dir, root: filepath.Join(dir, "root"), runRoot: filepath.Join(dir, "run"),
		ns: newNamespace(t), internet: newNamespace(t), runtime: namespaces, ids: map[string]bool{},
	}
	h.env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + dir,
		"PATCHBAY_ROOT=" + h.root,
		"PATCHBAY_RUN_ROOT=" + h.runRoot,
		"PATCHBAY_CONFIG=" + filepath.Join(dir, "config.toml"),
		"PATCHBAY_PLUGIN_PATH=" + filepath.Join(dir, "plugins"),
	}
	// Machines of the tests are emulated wherever they run: KVM is not tried for each.
	h.write("config.toml", []byte("[vm]\naccelerator = \"tcg\"\n"), 0o644)
	h.guarded()
	t.Cleanup(h.guarded)
	h.wire()
	h.before = h.snapshot()
	t.Cleanup(h.finish)
	return h
}

func newNamespace(t *testing.T) *netns.Namespace {
	t.Helper()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// wire connects the host to the world and gives it rules of somebody else.
func (h *host) wire() {
	h.ip(h.internet, "link set lo up")
	h.ip(h.ns, "link set lo up")
	// The uplink gets no link-local addresses, whose detection of duplicates
	// would change the host while it is compared.
	h.ip(h.ns, "link add "+uplink+" type veth peer name host netns "+fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.internet.FD()))
	for _, line := range []string{
		"link set " + uplink + " addrgenmode none",
		"link set " + uplink + " up",
		"addr add " + hostIPv4 + "/24 dev " + uplink,
		"addr add " + hostIPv6 + "/64 dev " + uplink + " nodad",
	} {
		h.ip(h.ns, line)
	}
	for _, line := range []string{
		"link set host addrgenmode none",
		"link set host up",
		"addr add 192.0.2.1/24 dev host",
		"addr add 2001:db8::1/64 dev host nodad",
		"addr add " + farIPv4 + "/32 dev lo",
		"addr add " + farIPv6 + "/128 dev lo nodad",
	} {
		h.ip(h.internet, line)
	}
	// The kernel makes the route of an address when it has seen the link come up.
	eventually(h.t, settle, func() error {
		if local := h.ip(h.ns, "-6 route show table local"); !strings.Contains(local, "local "+hostIPv6+" dev "+uplink) {
			return fmt.Errorf("no local route to %s:\n%s", hostIPv6, local)
		}
		return nil
	})
	h.ip(h.ns, "route add default via 192.0.2.1")
	h.ip(h.ns, "-6 route add default via 2001:db8::1")
	h.foreignRules()
}

// foreignRules makes rules of somebody else.
func (h *host) foreignRules() {
	h.t.Helper()
	h.must(h.command(h.ns, "nft", "add table inet somebody_else; add chain inet somebody_else input { type filter hook input priority 0 ; }; add rule inet somebody_else input tcp dport 9 drop"))
}

// ip runs ip(8) in a namespace.
func (h *host) ip(ns *netns.Namespace, line string) string {
	h.t.Helper()
	return h.must(h.command(ns, "ip", strings.Fields(line)...))
}

// result is how a command ended.
type result struct {
	args           []string
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("%s\nexit code %d\nstdout: %sstderr: %s", strings.Join(r.args, " "), r.code, r.stdout+"\n", r.stderr)
}

// command runs a program in a namespace, to its end.
func (h *host) command(ns *netns.Namespace, name string, args ...string) result {
	h.t.Helper()
	return h.wait(h.start(ns, nil, name, args...))
}

// process is a program that runs in a namespace.
type process struct {
	*exec.Cmd
	out, err bytes.Buffer
}

// prepare makes a process that is not started yet.
func (h *host) prepare(stdin io.Reader, name string, args ...string) *process {
	p := &process{Cmd: exec.Command(name, args...)}
	p.Env, p.Stdin, p.Stdout, p.Stderr = h.env, stdin, &p.out, &p.err
	// A daemon that inherits the pipes must not keep the test from its end.
	p.WaitDelay = settle
	return p
}

func (h *host) start(ns *netns.Namespace, stdin io.Reader, name string, args ...string) *process {
	h.t.Helper()
	p := h.prepare(stdin, name, args...)
	if err := ns.Do(p.Start); err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return p
}

func (h *host) wait(p *process) result {
	h.t.Helper()
	timer := time.AfterFunc(commandLimit, func() { p.Process.Kill() })
	defer timer.Stop()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%v: %v", p.Args, err)
	}
	h.noteContainers()
	return result{args: p.Args, stdout: p.out.String(), stderr: p.err.String(), code: p.ProcessState.ExitCode()}
}

// must returns the output of a command that has to succeed.
func (h *host) must(r result) string {
	h.t.Helper()
	if r.code != 0 {
		h.t.Fatalf("want success: %s", r)
	}
	return strings.TrimSuffix(r.stdout, "\n")
}

// patchbay runs the command line and wants it to succeed.
func (h *host) patchbay(args ...string) string {
	h.t.Helper()
	return h.must(h.try(args...))
}

// try runs the command line, whatever comes of it.
func (h *host) try(args ...string) result {
	h.t.Helper()
	return h.command(h.ns, binary("patchbay"), args...)
}

// tryInput runs the command line with an input.
func (h *host) tryInput(stdin string, args ...string) result {
	h.t.Helper()
	return h.wait(h.start(h.ns, strings.NewReader(stdin), binary("patchbay"), args...))
}

// begin runs the command line in the background.
func (h *host) begin(args ...string) *process {
	h.t.Helper()
	return h.start(h.ns, nil, binary("patchbay"), args...)
}

// up starts the daemon and makes it ready for containers.
func (h *host) up() *host {
	h.t.Helper()
	h.patchbay("system", "start")
	return h.ready()
}

// ready imports the image "box:latest", and gives the host what machines need if the
// test is about them.
func (h *host) ready() *host {
	h.t.Helper()
	h.importBox()
	if h.runtime == machine {
		h.upKernel()
		h.patchbay("system", "kernel", "warm", "--quiet")
	}
	return h
}

// inspect decodes what "inspect" says of one resource.
func inspect[T any](h *host, args ...string) T {
	h.t.Helper()
	out := h.patchbay(args...)
	var all []T
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		h.t.Fatalf("%v: want an array of one: %v\n%s", args, err, out)
	}
	return all[0]
}

func (h *host) container(name string) resource.Container {
	h.t.Helper()
	return inspect[resource.Container](h, "inspect", "--format", "json", name)
}

func (h *host) network(name string) resource.Network {
	h.t.Helper()
	return inspect[resource.Network](h, "network", "inspect", "--format", "json", name)
}

// containers decodes the list of all containers.
func (h *host) containers() []resource.Container {
	h.t.Helper()
	out := h.patchbay("list", "--all", "--format", "json")
	var all []resource.Container
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return all
}

// attachment returns a container's attachment to a network.
func (h *host) attachment(container, network string) resource.Attachment {
	h.t.Helper()
	for _, a := range h.container(container).Status.Attachments {
		if a.Network == network {
			return a
		}
	}
	h.t.Fatalf("container %s: has no attachment to network %s", container, network)
	return resource.Attachment{}
}

// daemonPID is the process of patchbayd.
func (h *host) daemonPID() int {
	h.t.Helper()
	for pid, p := range h.processes() {
		if p.name == "patchbayd" {
			return pid
		}
	}
	h.t.Fatal("patchbayd does not run")
	return 0
}

func binary(name string) string {
	path, err := filepath.Abs(filepath.Join("../../dist/bin", name))
	if err != nil {
		panic(err)
	}
	return path
}

// noteContainers remembers the ids of the containers there are, to look for
// what they may leave.
func (h *host) noteContainers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, dir := range []string{filepath.Join(h.root, "containers"), filepath.Join(h.runRoot, "sandboxes")} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			h.ids[e.Name()] = true
		}
	}
}

// eventually checks again and again until the answer is nil. It is for facts
// about other processes and the kernel, of which nobody tells the test.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	if err := poll(within, check); err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

func poll(within time.Duration, check func() error) error {
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return err
		case <-tick.C:
		}
	}
}
