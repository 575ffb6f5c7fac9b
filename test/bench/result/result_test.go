package result

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4, 2, 3}
	if got := Median(values); got != 3 {
		t.Errorf("median %v, want 3", got)
	}
	if got := Median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of an even number %v, want 2.5", got)
	}
	if p95, least := Quantile(values, 0.95), Quantile(values, 0); p95 != 5 || least != 1 {
		t.Errorf("p95 %v, least %v, want 5 and 1", p95, least)
	}
	if got := Median(nil) + Quantile(nil, 1); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	// The middle of the ratios, not the ratio of the middles.
	if got := Ratio([]float64{10, 40, 90}, []float64{10, 20, 30}); got != 2 {
		t.Errorf("ratio %v, want 2", got)
	}
	if got := Ratio([]float64{6, 8}, []float64{2}); got != 3 {
		t.Errorf("ratio of series of different lengths %v, want 3", got)
	}
	if got := Ratio([]float64{1}, []float64{0}); got != 0 {
		t.Errorf("ratio to nothing: %v", got)
	}
	if got := Milliseconds([]time.Duration{1500 * time.Microsecond}); got[0] != 1.5 {
		t.Errorf("milliseconds %v, want 1.5", got)
	}
}

func TestRatioOfMiddles(t *testing.T) {
	t.Parallel()
	ours, theirs := Series{Values: []float64{10, 40, 90}}, Series{Values: []float64{10, 20, 30}}
	if got := (Measurement{}).Ratio(ours, theirs); got != 2 {
		t.Errorf("round by round: %v, want 2", got)
	}
	ours.Values = []float64{5, 60, 90}
	if got := (Measurement{Unpaired: true}).Ratio(ours, theirs); got != 3 {
		t.Errorf("of what is unpaired: %v, want 3", got)
	}
	if got := (Measurement{Unpaired: true}).Ratio(ours, Series{}); got != 0 {
		t.Errorf("to nothing: %v", got)
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	s := Series{Values: []float64{1, 2, 3}}
	if got := (Measurement{}).Worst(s); got != 3 {
		t.Errorf("of times: %v, want 3", got)
	}
	if got := (Measurement{Higher: true}).Worst(s); got != 1 {
		t.Errorf("of a throughput: %v, want 1", got)
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "new")
	if parts, err := Load(directory); err != nil || parts != nil {
		t.Errorf("of no directory: %v, %v", parts, err)
	}
	want := []Part{
		{Name: "ports", Versions: []string{"podman 4", "docker 20"}, Measurements: []Measurement{{ID: "p"}}},
		{Name: "starts", Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: time.Minute, Load: "0.10", Versions: []string{"podman 4"}, Measurements: []Measurement{
			{ID: "start", What: "start to exit", Unit: "ms", Series: []Series{{"patchbay", []float64{1, 2.5}, ""}, {"podman", nil, "not installed"}}},
		}},
	}
	for range 2 { // the second time replaces
		for _, p := range want {
			if err := Save(directory, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := Load(directory)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if v := Versions(got); !slices.Equal(v, []string{"podman 4", "docker 20"}) {
		t.Errorf("versions %v, want each once", v)
	}
	m, p, ok := Find(got, "start")
	if !ok || p.Name != "starts" || m.Of("patchbay").Values[1] != 2.5 || m.Of("docker").Values != nil {
		t.Errorf("found %v in %v, %v", m, p, ok)
	}
	if _, _, ok := Find(got, "stop"); ok {
		t.Error("found what is not there")
	}
	if err := os.WriteFile(filepath.Join(directory, "torn.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(directory); err == nil || !strings.Contains(err.Error(), "torn.json") {
		t.Errorf("of a torn file: %v, want its name", err)
	}
}
