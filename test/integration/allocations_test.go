//go:build integration

package integration

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
)

var updateAllocations = flag.Bool("update-allocations", false, "write testdata/allocations.golden anew")

// allocationRounds are how often each operation is done. What counts is the round in
// which a process has allocated least: whatever happens beside only adds.
const allocationRounds = 4

// How far a figure may be from the golden one, in percent of it and in KiB beside: it
// moves with the sizes of names, and with what a pool has lost to the garbage
// collector. What is less has to be written down, so that it is held from then on.
const (
	allocatedMore = 10
	allocatedLess = 25
	allocatedSlop = 20
)

// notHeld is in the golden file in the place of a figure that depends on what happens first.
const notHeld = "-"

// allocating are the kinds of processes whose allocations count, as the golden file has
// them.
var allocating = []string{"patchbay", "patchbayd", "plugins", "helper"}

// TestAllocations: what operations allocate on the heaps of all processes, which does not
// depend on the clock. Who changes a number writes the golden file anew
// (-update-allocations) and says in its last column why.
func TestAllocations(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("standby-helpers = 0\n"), 0o644) // its beginning counts
	h.env = append(h.env, "GOMAXPROCS=2", "GOGC=off")              // some things are there once for each processor, others until the next collection
	h.up()
	h.patchbay("network", "create", "extra")
	for i := range 4 {
		h.patchbay("network", "create", fmt.Sprintf("n%d", i))
	}
	file := filepath.Join(h.dir, "trace.json")
	type row struct {
		name     string
		networks int
	}
	var rows []row
	least := map[row]map[string]uint64{}
	count := func(name string, networks int, operations ...[]string) {
		t.Helper()
		total := map[string]uint64{}
		for _, o := range operations {
			h.patchbay(append([]string{"system", "trace", "--allocations", "--output", file}, o...)...)
			for kind, n := range h.allocated(file) {
				total[kind] += n
			}
		}
		r := row{name, networks}
		if least[r] == nil {
			rows, least[r] = append(rows, r), total
		}
		for kind, n := range total {
			least[r][kind] = min(least[r][kind], n)
		}
	}
	for range allocationRounds {
		for _, n := range []int{1, 2, 4} {
			create := []string{"create", "--name", "one"}
			for i := range n {
				create = append(create, "--network", fmt.Sprintf("n%d", i))
			}
			count("start", n, append(create, "box", "sleep", "1000"), []string{"start", "one"})
			if n == 2 {
				count("connect", n, []string{"network", "connect", "extra", "one"})
				count("disconnect", n, []string{"network", "disconnect", "extra", "one"})
			}
			count("end", n, []string{"delete", "--force", "one"})
		}
	}
	var lines [][]string
	for _, r := range rows {
		line := []string{r.name, fmt.Sprint(r.networks)}
		for _, kind := range allocating {
			line = append(line, fmt.Sprint((least[r][kind]+1023)/1024))
		}
		lines = append(lines, line)
	}
	compareAllocations(t, lines)
}

// allocated is what each kind of process has allocated, in bytes, from the first of
// what it did for a trace to the last.
func (h *host) allocated(file string) map[string]uint64 {
	h.t.Helper()
	_, all := h.readTrace(file)
	kinds := map[int]string{}
	for _, e := range all.TraceEvents {
		if e.Ph != "M" {
			continue
		}
		switch name := e.Args.Name; {
		case strings.HasPrefix(name, "patchbay-network-"):
			kinds[e.PID] = "plugins"
		case strings.HasPrefix(name, "patchbay-runtime-"):
			kinds[e.PID] = "helper"
		default:
			kinds[e.PID] = name
		}
	}
	type span struct{ before, after uint64 }
	processes := map[int]span{}
	for _, e := range all.TraceEvents {
		if e.Args.After == 0 {
			continue
		}
		p, known := processes[e.PID]
		if !known {
			p.before = e.Args.Before
		}
		processes[e.PID] = span{min(p.before, e.Args.Before), max(p.after, e.Args.After)}
	}
	out := map[string]uint64{}
	for pid, p := range processes {
		out[kinds[pid]] += p.after - p.before
	}
	return out
}

// compareAllocations compares with the golden file, but for its last column.
func compareAllocations(t *testing.T, lines [][]string) {
	t.Helper()
	path := filepath.Join("testdata", "allocations.golden")
	golden, err := os.ReadFile(path)
	if err != nil && !*updateAllocations {
		t.Fatal(err)
	}
	want, reasons := map[string][]string{}, map[string]string{}
	for line := range strings.Lines(string(golden)) {
		figures, why, _ := strings.Cut(strings.TrimSpace(line), "#")
		if f := strings.Fields(figures); len(f) > 2 {
			want[f[0]+f[1]], reasons[f[0]+f[1]] = f[2:], strings.TrimSpace(why)
		}
	}
	if *updateAllocations {
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "operation\tnetworks\t%s\t  # KiB; why\n", strings.Join(allocating, "\t"))
		for _, line := range lines {
			for i, old := range want[line[0]+line[1]] {
				if old == notHeld {
					line[2+i] = notHeld
				}
			}
			fmt.Fprintf(table, "%s\t  # %s\n", strings.Join(line, "\t"), reasons[line[0]+line[1]])
		}
		table.Flush()
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, line := range lines {
		golden := want[line[0]+line[1]]
		if len(golden) != len(allocating) {
			t.Errorf("%s on %s networks: is not in %s", line[0], line[1], path)
			continue
		}
		for i, kind := range allocating {
			if golden[i] == notHeld {
				continue
			}
			got, _ := strconv.Atoi(line[2+i])
			old, err := strconv.Atoi(golden[i])
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if got > old+old*allocatedMore/100+allocatedSlop || got < old-old*allocatedLess/100-allocatedSlop {
				t.Errorf("%s on %s networks: %s allocates %d KiB, want about %d. If that is meant: go test -tags integration ./test/integration -run TestAllocations -args -update-allocations, and say why in %s",
					line[0], line[1], kind, got, old, path)
			}
		}
	}
	if len(want)-1 != len(lines) && !slices.ContainsFunc(lines, func(l []string) bool { return want[l[0]+l[1]] == nil }) {
		t.Errorf("%s: has %d rows, want %d", path, len(want)-1, len(lines))
	}
}
