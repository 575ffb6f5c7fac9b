package plot

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

func TestSVG(t *testing.T) {
	t.Parallel()
	got := SVG("beside <n> containers", []Panel{
		{Title: "start, ms", Lines: []Line{{"up", []Point{{0, 80}, {100, 95}}}, {"down", []Point{{0, 82}, {100, 90}}}}},
		{Title: "nothing", Lines: []Line{{"up", nil}}},
		{Title: "one point", Lines: []Line{{"up", []Point{{0, 0}}}}},
		{Title: "a second row", Lines: []Line{{"up", []Point{{0, 1}, {1000, 0.25}}}}},
	})
	decoder := xml.NewDecoder(strings.NewReader(string(got)))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	if strings.Contains(string(got), "NaN") || strings.Contains(string(got), "Inf") {
		t.Errorf("has coordinates that are no numbers:\n%s", got)
	}
	const golden = "testdata/panels.svg"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("picture (-want +got), -update to take it over after a look at it:\n%s", diff)
	}
}

func TestAxis(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64][]float64{
		0:    {0, 1},
		1000: {0, 500, 1000},
		137:  {0, 50, 100, 150},
		4:    {0, 1, 2, 3, 4},
		0.9:  {0, 0.5, 1},
	} {
		if diff := cmp.Diff(want, Axis(most, 4)); diff != "" {
			t.Errorf("axis to %v (-want +got):\n%s", most, diff)
		}
	}
}
