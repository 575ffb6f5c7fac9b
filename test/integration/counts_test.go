//go:build integration

package integration

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"
)

var updateCounts = flag.Bool("update-counts", false, "write testdata/counts.golden anew")

// counted is what an operation costs, whatever the machine: the kinds of system calls
// that take time which does not depend on how much is moved.
var counted = []struct {
	name string
	// line of strace that counts, once for each match of each, if it is not nil
	line, each *regexp.Regexp
}{
	{"processes", regexp.MustCompile(`^\d+ +(clone3?|v?fork)\(.*= \d+$`), nil},
	{"programs", regexp.MustCompile(`^\d+ +execve\(.*= 0$`), nil},
	{"calls", regexp.MustCompile(`^\d+ +write\(\d+, "POST /`), nil},
	{"fsyncs", regexp.MustCompile(`^\d+ +(f(data)?sync\(|pwritev2\(.*RWF_DSYNC)`), nil},
	{"netlink", regexp.MustCompile(`^\d+ +send(to|msg)\(.*nlmsg_len=`), regexp.MustCompile(`nlmsg_len=`)},
	{"nftables", regexp.MustCompile(`^\d+ +send(to|msg)\(.*nlmsg_type=NFNL_SUBSYS_NFTABLES`), regexp.MustCompile(`nlmsg_type=NFNL_SUBSYS_NFTABLES`)},
}

// notCounted are threads, which the Go runtime starts as it pleases.
var notCounted = regexp.MustCompile(`CLONE_THREAD`)

// TestCounts: what a start, a change of networks and an end cost, in what does not
// depend on the clock, for one network and more. Who changes a number writes the
// golden file anew (-update-counts) and says in its last column why.
func TestCounts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("standby-helpers = 0\n"), 0o644) // its helper would be counted somewhere
	trace := h.traced()
	h.importBox()
	h.patchbay("network", "create", "extra")
	for i := range 4 {
		h.patchbay("network", "create", fmt.Sprintf("n%d", i))
	}
	h.patchbay("run", "--rm", "--network", "n0", "box", "true") // the system call filter is compiled once

	var lines []string
	trace.settle()
	open := h.descriptors()
	count := func(what string, networks int, operations ...[]string) {
		t.Helper()
		for _, o := range operations {
			h.patchbay(o...)
		}
		// Connections that nobody uses end after a while, which nothing else tells. On a busy
		// machine an end may take longer than the pause that a trace settles by.
		now := h.descriptors()
		_ = poll(settle, func() error {
			if now = h.descriptors(); now-open != expected(t, len(lines)) && !*updateCounts {
				return errors.New("other descriptors are open than are expected")
			}
			return nil
		})
		counts := trace.settle()
		now = h.descriptors()
		lines = append(lines, fmt.Sprintf("%s\t%d\t%s\t%+d", what, networks, strings.Join(counts, "\t"), now-open))
		open = now
	}
	count("create", 1, []string{"network", "create", "late"})
	count("delete", 1, []string{"network", "delete", "late"})
	for _, n := range []int{1, 2, 4} {
		create := []string{"create", "--name", "one"}
		for i := range n {
			create = append(create, "--network", fmt.Sprintf("n%d", i))
		}
		count("start", n, append(create, "box", "sleep", "1000"), []string{"start", "one"})
		if n == 2 { // beside how many makes little difference
			count("connect", n, []string{"network", "connect", "extra", "one"})
			count("disconnect", n, []string{"network", "disconnect", "extra", "one"})
		}
		count("end", n, []string{"delete", "--force", "one"})
	}
	compareCounts(t, lines)
}

// expected returns the descriptors of a row of the golden file, from 0.
func expected(t *testing.T, row int) int {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join("testdata", "counts.golden"))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if lines := strings.Split(string(golden), "\n"); row+1 < len(lines) {
		line, _, _ := strings.Cut(lines[row+1], "#")
		if f := strings.Fields(line); len(f) > 0 {
			_, err = fmt.Sscan(f[len(f)-1], &n)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ofRuntime are files that the Go runtime keeps open where a control group limits
// the processor (cgroup v1 and v2), and nowhere else.
var ofRuntime = regexp.MustCompile(`/cpu\.(max|cfs_quota_us|cfs_period_us)$`)

// descriptors counts those that the processes of Patchbay have open, but for ofRuntime.
func (h *host) descriptors() int {
	h.t.Helper()
	n := 0
	for pid, p := range h.processes() {
		if !strings.HasPrefix(p.name, "patchbay") {
			continue
		}
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		all, err := os.ReadDir(dir)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, fd := range all {
			if file, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && !ofRuntime.MatchString(file) {
				n++
			}
		}
	}
	return n
}

// compareCounts compares with the golden file, but for its last column.
func compareCounts(t *testing.T, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", "counts.golden")
	golden, err := os.ReadFile(path)
	if err != nil && !*updateCounts {
		t.Fatal(err)
	}
	const reason = "  # "
	reasons := map[string]string{}
	var want []string
	for line := range strings.Lines(string(golden)) {
		line, why, _ := strings.Cut(strings.TrimRight(line, "\n"), reason)
		want = append(want, strings.TrimRight(line, " "))
		if f := strings.Fields(line); len(f) > 2 {
			reasons[f[0]+f[1]] = why
		}
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	header := "operation\tnetworks"
	for _, c := range counted {
		header += "\t" + c.name
	}
	for _, line := range append([]string{header + "\tdescriptors"}, lines...) {
		fmt.Fprintln(table, line+"\t")
	}
	table.Flush()
	var got []string
	for line := range strings.Lines(text.String()) {
		got = append(got, strings.TrimRight(line, " \n"))
	}
	if !*updateCounts {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what operations cost (-want +got):\n%s\nIf that is meant: go test -tags integration ./test/integration -run TestCounts -args -update-counts, and say why in %s", diff, path)
		}
		return
	}
	for i, line := range got {
		if f := strings.Fields(line); i > 0 && reasons[f[0]+f[1]] != "" {
			got[i] += reason + reasons[f[0]+f[1]]
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tracing is what strace(1) sees of patchbayd and all that it starts.
type tracing struct {
	h      *host
	path   string
	offset int
	begun  map[string]string // by process: a line whose end is yet to come
}

// traced starts patchbayd below strace.
func (h *host) traced() *tracing {
	h.t.Helper()
	path := filepath.Join(h.dir, "trace")
	p := h.start(h.ns, nil, "strace", "-f", "-qq", "-v", "-s", "16", "--seccomp-bpf", "-o", "|exec cat >"+path, // to a pipe it writes line by line
		"-e", "trace=clone,clone3,fork,vfork,execve,write,fsync,fdatasync,pwritev2,sendto,sendmsg",
		"-e", "signal=none", binary("patchbayd"))
	go func() { _ = p.Wait() }() // ends with the last that it traces
	eventually(h.t, settle, func() error {
		if r := h.try("system", "status"); r.code != 0 {
			return fmt.Errorf("%s%s", r, p.err.String())
		}
		return nil
	})
	return &tracing{h: h, path: path, begun: map[string]string{}}
}

// idle is how often in turn nothing may have been written: with what is between two checks of eventually, that is
// longer than what is put off takes to be done, such as remembering addresses. Checks, for a machine that stops
// stops them too.
const idle = 65

// settle waits until nothing more happens, and returns the counts since it was last
// called.
func (t *tracing) settle() []string {
	t.h.t.Helper()
	size, quiet := int64(-1), 0
	eventually(t.h.t, settle, func() error {
		info, err := os.Stat(t.path)
		if err != nil {
			return err
		}
		if quiet++; info.Size() != size {
			size, quiet = info.Size(), 0
		}
		if quiet < idle {
			return fmt.Errorf("strace still writes")
		}
		return nil
	})
	data, err := os.ReadFile(t.path)
	if err != nil {
		t.h.t.Fatal(err)
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	counts := make([]int, len(counted))
	for line := range strings.Lines(string(data[t.offset:end])) {
		line = t.whole(strings.TrimRight(line, "\n"))
		for i, c := range counted {
			switch {
			case !c.line.MatchString(line) || notCounted.MatchString(line):
			case c.each == nil:
				counts[i]++
			default:
				counts[i] += len(c.each.FindAllString(line, -1))
			}
		}
	}
	t.offset = end
	out := make([]string, len(counts))
	for i, n := range counts {
		out[i] = fmt.Sprint(n)
	}
	return out
}

// whole joins the two lines of a call during which others were traced; empty: the
// second one is yet to come.
func (t *tracing) whole(line string) string {
	process, _, _ := strings.Cut(line, " ")
	if first, ok := strings.CutSuffix(line, " <unfinished ...>"); ok {
		t.begun[process] = first
		return ""
	}
	if _, rest, ok := strings.Cut(line, " resumed>"); ok {
		return t.begun[process] + rest
	}
	return line
}
