package plugins

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

type running map[string][]resource.PluginInstance

func (r running) Instances() map[string][]resource.PluginInstance { return r }

func install(t *testing.T, directory, name, text string) {
	t.Helper()
	folder := filepath.Join(directory, name)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(folder, "bin"), 0o755),
		os.WriteFile(filepath.Join(folder, manifest.FileName), []byte(text), 0o644),
		os.WriteFile(filepath.Join(folder, "bin", name), nil, 0o755),
	); err != nil {
		t.Fatal(err)
	}
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s := New(Config{Directories: []string{directory}})
	b, a := resource.PluginInstance{Resource: "b", PID: 2}, resource.PluginInstance{Resource: "a", PID: 1}
	s.Show(running{"toy": {b}}, running{"toy": {a}, "oci": {a}})

	if got, err := s.List(); err != nil || len(got) != 0 {
		t.Errorf("list of nothing: %v, %v", got, err)
	}
	install(t, directory, "toy", "name = \"toy\"\nkind = \"network\"\nprotocol = 1\ndefault-variant = \"v\"\n[variants.v]\nstrategy = \"bridge-port\"\n")
	install(t, directory, "bad", "name = \"toy\"\n")

	got, err := s.List() // without being told of them
	if err != nil || len(got) != 2 || got[0].Name != "bad" || got[0].Fault == "" || got[1].Fault != "" {
		t.Fatalf("got %+v, %v, want bad with a fault and toy", got, err)
	}
	if diff := cmp.Diff([]resource.PluginInstance{a, b}, got[1].Instances); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if p, err := s.Get("bad"); err != nil || p.Fault == "" {
		t.Errorf("get bad: %+v, %v, want its fault", p, err)
	}
	if _, err := s.Get("none"); !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "want one of bad, toy") {
		t.Errorf("get none: %v", err)
	}
	if p, err := s.Network("toy"); err != nil || p.DefaultVariant != "v" {
		t.Errorf("network toy: %+v, %v", p, err)
	}
	if _, err := s.Runtime("toy"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("runtime toy: %v, want not found", err)
	}
	if _, err := s.Network("bad"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("network bad: %v, want it refused", err)
	}
}
