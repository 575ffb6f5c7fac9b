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
	golden(t, "testdata/panels.svg", got)
}

func TestDots(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/dots.svg", Dots("shares", []Dot{{"met, by <far>", 0.04, 0.03, 0.05, true}, {"just met", 1, 0.9, 1.2, true}, {"missed", 3.5, 3.5, 3.5, false}}))
	if got := Dots("nothing", nil); !strings.Contains(string(got), "</svg>") {
		t.Errorf("no dots: %s", got)
	}
}

func TestBars(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/bars.svg", Bars("medians", []BarPanel{
		{"start, ms", []Bar{{"patchbay", 54.1, true}, {"podman", 416, false}}},
		{"all are nothing", []Bar{{"patchbay", 0, true}, {"podman", 0, false}, {"docker", 0, false}}},
		{"a second row", []Bar{{"patchbay", 0.123, true}}},
	}))
}

// golden compares a picture, which is well-formed and has no coordinates that are no
// numbers, with a file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
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
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
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
