//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// traced is what a file of "system trace" says.
type traced struct {
	TraceEvents []struct {
		Name, Ph string
		PID      int
		Args     struct {
			Name, Span, Parent, Error string
			Network                   string
			Allocated                 uint64 `json:"allocated bytes"`
			Before                    uint64 `json:"allocated before"`
			After                     uint64 `json:"allocated after"`
		}
	}
}

// readTrace returns the path of each span, from the top, as "process name/process
// name", and how often it is there.
func (h *host) readTrace(file string) (paths map[string]int, all traced) {
	h.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		h.t.Fatal(err)
	}
	processes, parents, names := map[int]string{}, map[string]string{}, map[string]string{}
	for _, e := range all.TraceEvents {
		switch {
		case e.Ph == "M":
			processes[e.PID] = e.Args.Name
		case e.Args.Span != "":
			parents[e.Args.Span] = e.Args.Parent
			names[e.Args.Span] = strings.TrimPrefix(processes[e.PID], "patchbay-") + " " + e.Name
		}
	}
	paths = map[string]int{}
	for span := range names {
		var path []string
		for s := span; s != ""; s = parents[s] {
			path = append(path, names[s])
		}
		slices.Reverse(path)
		paths[strings.Join(path, "/")]++
	}
	return paths, all
}

// A trace of a command has what all processes did for it, each below what caused it,
// what follows its end too; nothing of that is left when it is over.
func TestTrace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("standby-helpers = 0\n"), 0o644) // the beginning of the helper is part of the trace
	h.up()
	h.patchbay("network", "create", "a")
	h.patchbay("network", "create", "b")
	file := filepath.Join(h.dir, "trace.json")
	r := h.try("system", "trace", "--allocations", "--output", file, "run", "--rm", "--network", "a", "--network", "b", "box", "sh", "-c", "echo out; exit 3")
	if r.code != 3 || r.stdout != "out\n" || !strings.Contains(r.stderr, " run the OCI runtime command=create") {
		t.Errorf("a command that is traced: %v", r)
	}
	paths, all := h.readTrace(file)
	const (
		command = "patchbay patchbay run --rm --network a --network b box sh -c echo out; exit 3/patchbay command line"
		start   = command + "/patchbay Run/patchbayd Run"
		ask     = start + "/patchbayd ask the network"
		boot    = start + "/patchbayd Bootstrap/runtime-oci Bootstrap"
		finish  = start + "/patchbayd take away what is left of the run"
	)
	for path, want := range map[string]int{
		command:                               1,
		start + "/patchbayd write the record": 1,
		ask + "/patchbayd Allocate/network-bridge Allocate":                                                                2,
		start + "/patchbayd get a runtime helper/patchbayd execute the program":                                            1,
		start + "/patchbayd get a runtime helper/runtime-oci begin":                                                        1,
		start + "/patchbayd Prepare/runtime-oci Prepare/runtime-oci make the main process/runtime-oci run the OCI runtime": 1,
		boot + "/runtime-oci make the network/runtime-oci make the interfaces":                                             1,
		boot + "/runtime-oci make the network/runtime-oci Hold/network-bridge Hold":                                        2,
		boot + "/runtime-oci the command runs":                                                                             1,
		boot + "/runtime-oci take the sandbox down":                                                                        1,
		finish + "/patchbayd ask the network/patchbayd Release/network-bridge Release":                                     2,
		finish + "/patchbayd remove the container":                                                                         1,
		command + "/patchbay Wait/patchbayd Wait":                                                                          1,
	} {
		if paths[path] != want {
			t.Errorf("%s: %d times, want %d", path, paths[path], want)
		}
	}
	allocate := map[string]int{}
	spent := map[string]bool{}
	for _, e := range all.TraceEvents {
		if e.Name == "command line" && e.Args.Error != "exit code 3" {
			t.Errorf("the command line has ended otherwise: %s", e.Args.Error)
		} else if e.Name == "Wait" && strings.Contains(e.Args.Error, "not found") {
			continue // all was taken away before it was asked for
		} else if e.Name != "command line" && (e.Ph == "B" || e.Args.Error != "") {
			t.Errorf("%s in process %d has not ended well: %s", e.Name, e.PID, e.Args.Error)
		}
		allocate[e.Args.Network]++
		if e.Args.Allocated > 0 {
			spent[e.Name] = true
		}
	}
	if allocate["a"] == 0 || allocate["b"] == 0 {
		t.Errorf("networks that were asked: %v, want a and b", allocate)
	}
	for _, name := range []string{"command line", "Run", "Bootstrap", "Allocate"} {
		if !spent[name] {
			t.Errorf("%s: does not say what it has allocated", name)
		}
	}
	if t.Failed() {
		for path, n := range paths {
			t.Logf("%d %s", n, path)
		}
	}

	// What a later command does to a container is part of its own trace. A container
	// that goes on holds nothing up.
	h.patchbay("system", "trace", "--output", file, "run", "-d", "--name", "long", "--network", "a", "box", "sleep", "1000")
	h.patchbay("system", "trace", "--output", file, "network", "connect", "b", "long")
	if paths, _ = h.readTrace(file); paths["patchbay patchbay network connect b long/patchbay command line/patchbay Connect/patchbayd Connect/"+
		"patchbayd Connect/runtime-oci Connect/runtime-oci change the interfaces"] != 1 {
		t.Errorf("connect: %v", paths)
	}
	h.patchbay("system", "trace", "--output", file, "stop", "-t", "0", "long")
	if paths, _ = h.readTrace(file); paths["patchbay patchbay stop -t 0 long/patchbay command line/patchbay Stop/patchbayd Stop/"+
		"patchbayd Signal/runtime-oci Signal/runtime-oci take the sandbox down"] != 1 ||
		paths["patchbay patchbay stop -t 0 long/patchbay command line/patchbay Stop/patchbayd Stop/patchbayd take away what is left of the run"] != 1 {
		t.Errorf("stop: %v", paths)
	}

	// All calls, until interrupted.
	watching := h.begin("system", "trace", "--output", file)
	socket := filepath.Join(h.runRoot, "trace.sock")
	eventually(t, settle, func() error { _, err := os.Stat(socket); return err })
	h.patchbay("start", "long")
	if err := watching.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if r := h.wait(watching); r.code != 0 || !strings.Contains(r.stdout, " Start [patchbayd]") {
		t.Errorf("all calls: %v", r)
	}
	if paths, _ = h.readTrace(file); paths["patchbayd Start/patchbayd Bootstrap/runtime-oci Bootstrap"] != 1 {
		t.Errorf("all calls: %v", paths)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("%s is left where nobody traces: %v", socket, err)
	}
	h.patchbay("delete", "--force", "long")

	// The end of patchbayd does not wait for who traces, and what was heard is shown.
	if r := h.try("system", "trace", "system", "stop"); r.code != 0 || !strings.Contains(r.stderr, " Shutdown → patchbayd") || !strings.Contains(r.stderr, "has ended meanwhile") {
		t.Errorf("a stop that is traced: %v", r)
	}
}
