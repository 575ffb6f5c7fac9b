package plugins

import (
	"context"
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

// restarted is Networks: it writes down what it is asked for.
type restarted []string

func (r *restarted) Restart(_ context.Context, network string) (resource.PluginInstance, error) {
	*r = append(*r, "network "+network)
	return resource.PluginInstance{Resource: network}, nil
}

func (r *restarted) RestartPlugin(_ context.Context, plugin string) ([]resource.PluginInstance, error) {
	*r = append(*r, "plugin "+plugin)
	return nil, nil
}

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

func TestRestart(t *testing.T) {
	t.Parallel()
	directory, networks := t.TempDir(), new(restarted)
	s := New(Config{Directories: []string{directory}})
	s.Serve(networks)
	install(t, directory, "toy", "name = \"toy\"\nkind = \"network\"\nprotocol = 1\ndefault-variant = \"v\"\n[variants.v]\nstrategy = \"bridge-port\"\n")
	install(t, directory, "oci", "name = \"oci\"\nkind = \"runtime\"\nprotocol = 1\nstrategies = [\"bridge-port\"]\n")
	install(t, directory, "bad", "name = \"toy\"\n")
	for _, tt := range []struct {
		plugin, network string
		kind            error
		says            string
	}{
		{"", "", errdefs.ErrInvalidArgument, "want the name of a plugin or of a network"},
		{"toy", "a", errdefs.ErrInvalidArgument, "want the name of a plugin or of a network"},
		{"none", "", errdefs.ErrNotFound, "want one of bad, oci, toy"},
		{"oci", "", errdefs.ErrFailedPrecondition, "plugin oci: is a runtime"},
		{"bad", "", errdefs.ErrFailedPrecondition, "plugin bad: "},
	} {
		if _, err := s.Restart(t.Context(), tt.plugin, tt.network); !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q, %q: got %v, want %q", tt.plugin, tt.network, err, tt.says)
		}
	}
	if _, err := s.Restart(t.Context(), "toy", ""); err != nil {
		t.Error(err)
	}
	if got, err := s.Restart(t.Context(), "", "a"); err != nil || len(got) != 1 || got[0].Resource != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	if diff := cmp.Diff(&restarted{"plugin toy", "network a"}, networks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
