package usage

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// process writes what /proc has of one.
func process(t *testing.T, proc, pid string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(proc, pid, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	for pid, environment := range map[string]string{
		"10":   "PATH=/bin\x00PATCHBAY_HELPER_DIRECTORY=/run/a/networks/1\x00",
		"11":   "PATCHBAY_HELPER_DIRECTORY=/run/a/sandboxes/1\x00",
		"12":   "PATCHBAY_HELPER_DIRECTORY=/run/a/standby/1\x00",
		"13":   "PATCHBAY_HELPER_DIRECTORY=/run/ab/sandboxes/1\x00", // another instance's
		"14":   "PATH=/bin\x00",
		"self": "PATCHBAY_HELPER_DIRECTORY=/run/a/networks/1\x00",
	} {
		process(t, proc, pid, map[string]string{"environ": environment})
	}
	process(t, proc, "15", nil) // has ended meanwhile
	got, err := below(proc, "/run/a")
	if err != nil {
		t.Fatal(err)
	}
	want := []Process{{10, Plugin}, {11, Helper}, {12, Helper}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
}

func TestPSSAndCPU(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	process(t, proc, "7", map[string]string{
		"smaps_rollup": "400000-7ffe0000 ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Anon: 5 kB\n",
		"stat":         "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 8 0 99 0 0\n",
	})
	process(t, proc, "8", map[string]string{"smaps_rollup": "Rss: 1 kB\n", "stat": "8 (x) S 1\n"})
	if got, err := pss(proc, 7); err != nil || got != 1234<<10 {
		t.Errorf("pss = %d, %v, want %d", got, err, 1234<<10)
	}
	if got, err := cpu(proc, 7); err != nil || got != 1750*time.Millisecond {
		t.Errorf("cpu = %v, %v, want 1.75s", got, err)
	}
	process(t, proc, "10", map[string]string{"stat": "10 (a) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 8 0 99 0 0\n"})
	process(t, proc, "10/task/10", map[string]string{"schedstat": "1000 5 1\n"})
	process(t, proc, "10/task/11", map[string]string{"schedstat": "234 5 1\n"})
	if got, err := cpu(proc, 10); err != nil || got != 1234 {
		t.Errorf("cpu of two threads = %v, %v, want 1.234µs", got, err)
	}
	for _, pid := range []int{8, 9} {
		if _, err := pss(proc, pid); err == nil {
			t.Errorf("pss of process %d: want an error", pid)
		}
		if _, err := cpu(proc, pid); err == nil {
			t.Errorf("cpu of process %d: want an error", pid)
		}
	}
}

func TestSettle(t *testing.T) {
	for name, test := range map[string]struct {
		works int // how many looks find that it has worked
		limit time.Duration
		looks int
	}{
		"quiet":        {works: 0, limit: time.Hour, looks: 6},
		"after a time": {works: 10, limit: time.Hour, looks: 16},
		"never":        {works: 1 << 30, limit: 12 * time.Second, looks: 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks, worked := 0, time.Duration(0)
				used := func(int) (time.Duration, error) {
					if looks++; looks <= test.works {
						worked += time.Millisecond
					}
					return worked, nil
				}
				if err := settle(t.Context(), []Process{{1, Daemon}}, used, 6*time.Second, test.limit); err != nil {
					t.Fatal(err)
				}
				if looks != test.looks {
					t.Errorf("%d looks, want %d", looks, test.looks)
				}
			})
		})
	}
}
