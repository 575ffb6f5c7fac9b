package netimport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/netimport"
	"patchbay.dev/patchbay/resource"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRead holds what becomes of each file below testdata, found by its shape and
// told by its name alike.
func TestRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := told(netimport.Read("", data))
			kind, _, found := strings.Cut(filepath.Base(file), "-")
			if again := told(netimport.Read(netimport.Kind(kind), data)); found && again != got {
				t.Errorf("as %s: got\n%s\nby its shape:\n%s", kind, again, got)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// told is a result as text.
func told(r netimport.Result, err error) string {
	if err != nil {
		if !errors.Is(err, errdefs.ErrInvalidArgument) {
			return "an error of another kind: " + err.Error() + "\n"
		}
		return "refused:\n" + err.Error() + "\n"
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	for _, n := range r.Networks {
		if err := e.Encode(n); err != nil {
			return err.Error()
		}
	}
	return out.String() + "notes:\n" + strings.Join(r.Notes, "\n") + "\n"
}

// FuzzRead checks that whatever is carried over is a valid network, and that each
// note and each line of an error is about one.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("", data)
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		r, err := netimport.Read(netimport.Kind(kind), data)
		if err != nil {
			if len(r.Networks)+len(r.Notes) > 0 || !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("got %v and the error %v", r, err)
			}
			return
		}
		for _, n := range r.Networks {
			if err := errors.Join(resource.ValidateName("network", n.Name), resource.ValidateLabels(n.Labels), n.Configuration.Validate()); err != nil {
				t.Errorf("got %+v: %v", n, err)
			}
		}
		for _, note := range r.Notes {
			if !strings.HasPrefix(note, "network ") || strings.Contains(note, "\n") {
				t.Errorf("note %q: is not a line about a network", note)
			}
		}
	})
}
