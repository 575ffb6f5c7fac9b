package metrics

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "write the golden files and the table of the documentation")

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ours is an exposition without what depends on the process and the moment:
// series of the Go runtime and the kernel, and sums of times.
func ours(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if strings.HasPrefix(name, "patchbay_") && !strings.Contains(name, "_seconds_sum{") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

func TestExposition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // so that calls take a certain time
		m := busyWorld().metrics()
		ended := m.Call("/patchbay.apiserver.v1.ContainerService/Start")
		time.Sleep(30 * time.Millisecond)
		ended("ok")
		m.Call("/patchbay.apiserver.v1.ContainerService/Start")("not_found")
		m.Call("/patchbay.apiserver.v1.SystemService/Events")
		golden(t, filepath.Join("testdata", "exposition.txt"), ours(scrape(t, m)))
	})
}

// Names, units and texts are as Prometheus wants them.
func TestConventions(t *testing.T) {
	t.Parallel()
	m := busyWorld().metrics()
	m.Call("/x/Y")("ok")
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The process and the Go runtime tell of themselves.
func TestOwnProcess(t *testing.T) {
	t.Parallel()
	text := scrape(t, busyWorld().metrics())
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%sis missing", name)
		}
	}
}

// An empty instance shows zeros, not nothing.
func TestEmptyWorld(t *testing.T) {
	t.Parallel()
	text := scrape(t, (&world{}).metrics())
	for _, line := range []string{
		`patchbay_containers{runtime="oci",state="running"} 0`,
		`patchbay_runtime_helpers{runtime="oci"} 0`,
		`patchbay_scrape_unanswered{process="network-plugin"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(text, "patchbay_images") {
		t.Error("images that cannot be read are told of")
	}
}

// Whoever hangs is waited for until the bound, and all else is told.
func TestHangingNetworks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := busyWorld()
		w.hang = true
		began := time.Now()
		text := scrape(t, w.metrics())
		if took := time.Since(began); took != askTimeout {
			t.Errorf("took %v, want %v", took, askTimeout)
		}
		for _, line := range []string{
			`patchbay_network_up{network="mute",plugin="bridge"} 0`,
			`patchbay_scrape_unanswered{process="network-plugin"} 1`,
			`patchbay_containers{runtime="oci",state="running"} 2`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s is missing", line)
			}
		}
		if strings.Contains(text, `patchbay_network_addresses{network="mute"`) {
			t.Error("addresses of a network whose plugin did not answer")
		}
	})
}

// The table of the documentation is that of the series.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- series: begin -->\n", "<!-- series: end -->\n"
	path := filepath.Join("..", "..", "..", "docs", "howto", "observe.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: want the table between %q and %q", path, begin, end)
	}
	var table strings.Builder
	table.WriteString("| series | labels | what |\n|---|---|---|\n")
	for _, s := range slices.Concat(surveyed, []*series{callsRunning, callDuration}) {
		labels := "`" + strings.Join(s.labels, "`, `") + "`"
		if len(s.labels) == 0 {
			labels = "-"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.name, labels, s.help)
	}
	golden(t, path, before+begin+table.String()+end+after)
}
