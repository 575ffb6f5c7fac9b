package parse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/cli/parse"
)

func TestCPUs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"1": 1e9, "0.5": 5e8, "1.000000001": 1_000_000_001, "007": 7e9,
		"": -1, "0": -1, "0.0": -1, ".5": -1, "1.": -1, "-1": -1, "1e9": -1, "1e999999999": -1, "0.0000000001": -1, "NaN": -1, "99999999": -1,
	} {
		got, err := parse.CPUs(in)
		if (want < 0) != (err != nil) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"6m": 6 << 20, "1.5g": 3 << 29, "1024": 1024, "64K": 64 << 10, "2gb": 2 << 30,
		"": -1, "0": -1, "-1m": -1, "12q": -1, "m": -1,
	} {
		got, err := parse.Memory(in)
		if (want < 0) != (err != nil) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"0": 0, "10": 10 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond,
		"": -1, "-1": -1, "-1s": -1, "soon": -1,
	} {
		got, err := parse.Timeout(in)
		if (want < 0) != (err != nil) || err == nil && got != want {
			t.Errorf("timeout %q: got %v, %v, want %v", in, got, err, want)
		}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"10m":                       now.Add(-10 * time.Minute),
		"2026-01-01T00:00:00Z":      time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-01T01:00:00+01:00": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"yesterday":                 {},
		"-5m":                       {},
	} {
		got, err := parse.Since(in, now)
		if want.IsZero() != (err != nil) || !got.Equal(want) {
			t.Errorf("since %q: got %v, %v, want %v", in, got, err, want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"all": -1, "0": 0, "12": 12, "-1": -2, "x": -2, "99999999999": -2} {
		got, err := parse.Lines(in)
		if (want == -2) != (err != nil) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	got, err := parse.Pairs("label", []string{"a=1", "b", "c=x=y"}, true)
	wantError(t, err)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "", "c": "x=y"}, got); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
	_, err = parse.Pairs("option", []string{"b", "=1", "a=1", "a=2"}, false)
	wantError(t, err, `option "b": want KEY=VALUE`, `option "=1": want KEY=VALUE`, `option "a": given twice`)
}

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"HERE": "value", "EMPTY": ""}[name]
	return value, ok
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got, err := parse.Environment([]string{"A=1", "HERE", "EMPTY", "GONE", "B=", "C=x=y"}, lookup)
	wantError(t, err)
	if diff := cmp.Diff([]string{"A=1", "HERE=value", "EMPTY=", "B=", "C=x=y"}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	_, err = parse.Environment([]string{"=1", ""}, lookup)
	wantError(t, err, `environment "=1": want NAME=VALUE or NAME`, `environment "": want NAME=VALUE or NAME`)
}

func TestEnvironmentFile(t *testing.T) {
	t.Parallel()
	file := "\ufeffA=1\n\n  # note\n\tB=\"quoted\" \nHERE\nGONE\nC=x=y\r\n"
	got, err := parse.EnvironmentFile("f", strings.NewReader(file), lookup)
	wantError(t, err)
	if diff := cmp.Diff([]string{"A=1", `B="quoted" `, "HERE=value", "C=x=y"}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	_, err = parse.EnvironmentFile("f", strings.NewReader("A=1\n=x\nB C=1\n\xff=1\n"), lookup)
	wantError(t, err,
		`f:2: "=x": has no name, want NAME=VALUE or NAME`, `f:3: name "B C": has white space`, `f:4: is not UTF-8 text`)
	_, err = parse.EnvironmentFile("f", strings.NewReader("A="+strings.Repeat("x", 1<<20)), lookup)
	wantError(t, err, "f: bufio.Scanner: token too long")
}

func FuzzScalars(f *testing.F) {
	f.Add("1.5")
	f.Add("512m")
	f.Add("A=1\n#x\nB")
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := parse.CPUs(in); err == nil && n <= 0 {
			t.Errorf("cpus %q: %d", in, n)
		}
		if n, err := parse.Memory(in); err == nil && n <= 0 {
			t.Errorf("memory %q: %d", in, n)
		}
		if d, err := parse.Timeout(in); err == nil && d < 0 {
			t.Errorf("timeout %q: %v", in, d)
		}
		env, err := parse.EnvironmentFile("f", strings.NewReader(in), lookup)
		for _, e := range env {
			if err == nil && strings.IndexByte(e, '=') < 1 {
				t.Errorf("environment file %q: %q", in, e)
			}
		}
	})
}
