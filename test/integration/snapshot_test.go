//go:build integration

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshot is the part of a host's state that Patchbay may change, as lines by
// their kind.
type snapshot map[string][]string

var onStandby = regexp.MustCompile(`/standby/[0-9a-f]{16}`)

// awaiting is what differs between OCI runtimes that wait for their specification: the
// descriptor of their directory, and their identifier.
var awaiting = regexp.MustCompile(`/proc/1/fd/\d+| [A-Z2-7]{26}$`)

// snapshot reads the state. What other tests do at the same time is not in it:
// the namespace is the host's own, and of the rest only what carries its roots,
// its container ids or its namespace counts.
func (h *host) snapshot() snapshot {
	h.t.Helper()
	network := func(name string, args ...string) []string {
		return strings.Split(h.must(h.command(h.ns, name, args...)), "\n")
	}
	s := snapshot{
		"link":    network("ip", "-br", "link"),
		"address": network("ip", "-br", "address"),
		"route":   append(network("ip", "-4", "route", "show", "table", "all"), network("ip", "-6", "route", "show", "table", "all")...),
		"rule":    append(network("ip", "-4", "rule"), network("ip", "-6", "rule")...),
		"nft":     network("nft", "list", "ruleset"),
		"netns":   names("/run/netns", h.dir),
		"mount":   linesWith("/proc/self/mountinfo", h.dir),
		"cgroup":  h.cgroups(),
		"socket":  h.sockets(),
		"process": h.processLines(),
		"file":    h.files(),
	}
	// Whether a bridge has a port that is up follows its containers.
	state := strings.NewReplacer(" UP ", " ", " DOWN ", " ", " UNKNOWN ", " ", " linkdown", "", ",LOWER_UP", "", "NO-CARRIER,", "")
	for _, kind := range []string{"link", "address", "route"} {
		for i, line := range s[kind] {
			s[kind][i] = strings.Join(strings.Fields(state.Replace(line)), " ")
		}
	}
	// So does its link-local address, which the kernel adds with the first port.
	for i, line := range s["address"] {
		if strings.HasPrefix(line, "pb-") {
			s["address"][i] = strings.Join(slices.DeleteFunc(strings.Fields(line), func(f string) bool { return strings.HasPrefix(f, "fe80:") }), " ")
		}
	}
	// A helper on standby takes the place of one that got a container.
	for _, kind := range []string{"file", "socket"} {
		numbers := map[string]string{}
		for i, line := range s[kind] {
			s[kind][i] = onStandby.ReplaceAllStringFunc(line, func(id string) string {
				if numbers[id] == "" {
					numbers[id] = fmt.Sprintf("/standby/%d", len(numbers)+1)
				}
				return numbers[id]
			})
		}
	}
	s["route"] = slices.DeleteFunc(s["route"], func(l string) bool {
		// A host that forwards IPv6 has the anycast address of each of its subnets.
		return strings.HasPrefix(l, "anycast ") ||
			strings.Contains(l, "fe80:") && strings.Contains(l, " dev pb-")
	})
	return s
}

// between reads the state in the middle of a test that has started a container, when
// the helper is there that this has started in advance, and the OCI runtime that this has.
func (h *host) between() snapshot {
	h.t.Helper()
	h.standby()
	var s snapshot
	eventually(h.t, settle, func() error {
		s = h.snapshot()
		return s.awaits()
	})
	return s
}

// awaits is nil when there is an OCI runtime that waits for its specification, with its files.
func (s snapshot) awaits() error {
	for _, want := range [][2]string{{"file", "/standby/1/config.json"}, {"file", "/standby/1/create.log"}, {"process", " create --bundle "}} {
		if !slices.ContainsFunc(s[want[0]], func(line string) bool { return strings.Contains(line, want[1]) }) {
			return fmt.Errorf("no %s %q", want[0], want[1])
		}
	}
	return nil
}

// residue compares the host with what it was at first.
func (h *host) residue() error {
	h.t.Helper()
	return h.before.same(h.snapshot())
}

// same tells what a later snapshot has more or less.
func (s snapshot) same(now snapshot) error {
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(now)) {
		out = append(out, difference(kind, s[kind], now[kind])...)
	}
	if len(out) == 0 {
		return nil
	}
	return errors.New("the host is not what it was:\n" + strings.Join(out, "\n"))
}

func difference(kind string, before, now []string) []string {
	var out []string
	for _, line := range now {
		if !slices.Contains(before, line) {
			out = append(out, fmt.Sprintf("+ %s: %s", kind, line))
		}
	}
	for _, line := range before {
		if !slices.Contains(now, line) {
			out = append(out, fmt.Sprintf("- %s: %s", kind, line))
		}
	}
	return out
}

// finish ends the host: Patchbay is stopped, nothing may be left, and what is
// left all the same goes, so that it does not disturb other tests.
func (h *host) finish() {
	if h.t.Failed() {
		h.dumpLogs()
	}
	if r := h.try("system", "stop", "-t", "0"); r.code != 0 { // programs that ignore SIGTERM are not waited for
		h.t.Errorf("want system stop to succeed: %s", r)
	}
	if err := poll(settle, h.residue); err != nil {
		h.t.Error(err)
		h.dumpLogs()
	}
	for pid := range h.processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, line := range linesWith("/proc/self/mountinfo", h.dir) {
		unix.Unmount(strings.Fields(line)[4], unix.MNT_DETACH)
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Error(err)
	}
}

// dumpLogs shows what the processes of the host said.
func (h *host) dumpLogs() {
	filepath.WalkDir(h.runRoot, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".log") {
			return nil //nolint:nilerr // what is gone has nothing to say
		}
		content, _ := os.ReadFile(path)
		if len(content) > 8000 {
			content = content[len(content)-8000:]
		}
		if len(content) > 0 {
			h.t.Logf("%s:\n%s", path, content)
		}
		return nil
	})
}

type runningProcess struct{ name, line string }

// processes are those that carry the roots in their environment or arguments,
// or live in a namespace of the host.
func (h *host) processes() map[int]runningProcess { return h.find(h.sameNamespace) }

// carriers are those of them that carry the roots.
func (h *host) carriers() map[int]runningProcess { return h.find(func(string) bool { return false }) }

// find returns the processes that carry the roots or of whose directories in /proc others is true.
func (h *host) find(others func(dir string) bool) map[int]runningProcess {
	found := map[int]runningProcess{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		arguments, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if !bytes.Contains(environment, []byte(h.dir)) && !bytes.Contains(arguments, []byte(h.dir)) && !others(dir) {
			continue
		}
		if len(arguments) == 0 {
			continue // a zombie, or a thread of the kernel
		}
		args := strings.Split(strings.TrimRight(string(arguments), "\x00"), "\x00")
		found[pid] = runningProcess{name: filepath.Base(args[0]), line: strings.Join(args, " ")}
	}
	return found
}

func (h *host) sameNamespace(dir string) bool {
	var there, here unix.Stat_t
	if unix.Stat(filepath.Join(dir, "ns/net"), &there) != nil || unix.Fstat(h.ns.FD(), &here) != nil {
		return false
	}
	return there.Ino == here.Ino && there.Dev == here.Dev
}

func (h *host) processLines() []string {
	var out []string
	for _, p := range h.processes() {
		out = append(out, awaiting.ReplaceAllString(p.line, "…"))
	}
	return out
}

// cgroups are those of the containers that were seen, in every hierarchy.
func (h *host) cgroups() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, pattern := range []string{"/sys/fs/cgroup/patchbay-*", "/sys/fs/cgroup/*/patchbay-*"} {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			if h.ids[strings.TrimPrefix(filepath.Base(path), "patchbay-")] {
				out = append(out, path)
			}
		}
	}
	return out
}

func (h *host) sockets() []string {
	var out []string
	err := h.ns.Do(func() error {
		out = linesWith("/proc/thread-self/net/unix", h.dir)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for i, line := range out {
		fields := strings.Fields(line)
		out[i] = fields[len(fields)-1]
	}
	return out
}

// files are those and the directories below the run root, but for the log of a daemon and its
// lock, which are there for the next one.
func (h *host) files() []string {
	var out []string
	filepath.WalkDir(h.runRoot, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == h.runRoot {
			return nil //nolint:nilerr // gone meanwhile: not there
		}
		if base := filepath.Base(path); base != "patchbayd.log" && base != "patchbayd.lock" {
			out = append(out, path)
		}
		return nil
	})
	return out
}

func names(dir, with string) []string {
	var out []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.Contains(e.Name(), filepath.Base(with)) {
			out = append(out, e.Name())
		}
	}
	return out
}

func linesWith(path, word string) []string {
	content, _ := os.ReadFile(path)
	var out []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, word) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}
