package report

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parts have one of each: met, missed, faulty, left out, a throughput, an absolute
// value, one without a target.
var parts = []result.Part{
	{Name: "starts", Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 61 * time.Second, Load: "0.25", Notes: []string{"A note."}, Measurements: []result.Measurement{
		{ID: "start-1", What: "start of `true`", Unit: "ms", Series: []result.Series{
			{Subject: goal.Docker, Fault: "no | overlayfs\nhere"},
			{Subject: goal.Patchbay, Values: []float64{50, 52, 51, 55, 100}},
			{Subject: goal.Crun, Values: []float64{20, 20, 20, 20, 20}},
			{Subject: goal.Podman, Values: []float64{400, 410}, Fault: "round 3: broke"},
		}},
		{ID: "further", What: "each further network", Unit: "ms", Unpaired: true, Series: []result.Series{
			{Subject: goal.Patchbay, Values: []float64{-1, 3, 4}}, {Subject: goal.Kernel, Values: []float64{1.5, 1.6, -9}},
		}},
	}},
	{Name: "traffic", Begun: time.Date(2026, 1, 2, 3, 6, 5, 0, time.UTC), Took: time.Minute, Load: "1.00", Measurements: []result.Measurement{
		{ID: "throughput-host", What: "throughput", Unit: "Gbit/s", Higher: true, Series: []result.Series{
			{Subject: goal.Patchbay, Values: []float64{9, 10, 11, 9, 10}},
			{Subject: goal.Bridge, Values: []float64{10, 10, 10, 10, 10}},
			{Subject: goal.BridgeAgain, Values: []float64{10.8, 10.2, 9, 9, 10}},
		}},
		{ID: "scale-start", What: "start beside many", Unit: "ms", Series: []result.Series{
			{Subject: goal.Patchbay, Values: []float64{90, 100, 110, 90, 100}},
			{Subject: goal.Empty, Values: []float64{90, 90, 100, 91, 99}},
			{Subject: goal.First, Values: []float64{80, 81}},
			{Subject: goal.EmptyFirst, Values: []float64{82, 81}},
		}},
		{ID: "idle", What: "processor time", Unit: "% of a core", Series: []result.Series{{Subject: goal.Patchbay, Values: []float64{0.1}}}},
		{ID: "other", What: "what has no target", Unit: "ms", Series: []result.Series{{Subject: goal.Patchbay, Values: []float64{1234.5}}}},
	}},
}

func TestTables(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/verdicts.md", Verdicts(goal.Judge(parts)))
	golden(t, "testdata/figures.md", Figures(parts))
}

func TestPictures(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/targets.svg", string(Targets(goal.Judge(parts))))
	golden(t, "testdata/beside.svg", string(Beside(parts)))
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
		t.Errorf("%s (-want +got), -update to take it over after a look at it:\n%s", path, diff)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.5: "0.500", 2.004: "2.00", 54.12: "54.1", 433.6: "434", 12345: "12345", -25.4: "-25.4", 1e-9: "0.000"} {
		if got := digits(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
