//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A log that has been set aside many times has its last lines, and who follows it has
// all of them; what its container and the configuration say of its size holds.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[log]\nmax-size = \"64k\"\nmax-file = 3\n"), 0o644)
	h.up()
	const bursts, lines = 5, 1000 // of some 80 bytes each, in the log
	script := fmt.Sprintf(`k=0; while [ $k -lt %d ]; do
		while [ ! -e /tmp/$k ]; do sleep 0.02; done
		i=0; while [ $i -lt %d ]; do echo line $k $i; i=$((i+1)); done; k=$((k+1)); done`, bursts, lines)
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	out.SetReadDeadline(time.Now().Add(commandLimit))
	h.patchbay("run", "-d", "--name", "one", "--network", "none", "--log-opt", "max-file=2", "box", "sh", "-c", script)
	h.patchbay("run", "-d", "--name", "usual", "--network", "none", "box", "sh", "-c", script)
	follow := h.prepare(nil, binary("patchbay"), "logs", "-f", "one")
	follow.Stdout = theirs
	err = h.ns.Do(follow.Start)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	followed := bufio.NewScanner(out)
	for k := range bursts { // none is more than is kept: who follows can miss nothing
		for _, name := range []string{"one", "usual"} {
			h.try("exec", name, "touch", fmt.Sprintf("/tmp/%d", k)) // may be killed by the end that the last brings about
		}
		for i := range lines {
			line := fmt.Sprintf("line %d %d", k, i)
			fmt.Fprintln(&all, line)
			if !followed.Scan() || followed.Text() != line {
				t.Fatalf("logs -f: got %q, %v, want %q", followed.Text(), followed.Err(), line)
			}
		}
	}
	if followed.Scan() {
		t.Errorf("logs -f: %q after the last line", followed.Text())
	}
	if r := h.wait(follow); r.code != 0 {
		t.Errorf("logs -f: %s", r)
	}
	h.patchbay("wait", "usual")
	for name, files := range map[string]int{"one": 2, "usual": 3} {
		kept, err := filepath.Glob(filepath.Join(h.dir, "root/containers", h.container(name).ID, "log*"))
		if err != nil || len(kept) != files {
			t.Errorf("%s: %v, %v, want %d files", name, kept, err, files)
		}
		for _, file := range kept {
			if info, err := os.Stat(file); err != nil || info.Size() > 64<<10 {
				t.Errorf("%s: %v, %v, want at most 64 KiB", file, info, err)
			}
		}
		got := h.try("logs", name).stdout
		if !strings.HasSuffix(all.String(), got) || len(got) < 10_000 {
			t.Errorf("%s: logs: %d bytes that end in %q, want those of the last files", name, len(got), got[max(0, len(got)-20):])
		}
		youngest, err := os.ReadFile(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(youngest, []byte("\n")) + 50 // lines, of two files
		present := strings.SplitAfter(got, "\n")
		want := strings.Join(present[len(present)-1-n:], "")
		if tail := h.try("logs", "-n", fmt.Sprint(n), name).stdout; tail != want {
			t.Errorf("%s: logs -n %d: %d bytes, want %d", name, n, len(tail), len(want))
		}
	}
}
