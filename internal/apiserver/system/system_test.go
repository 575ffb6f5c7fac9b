package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// world is all that the system service asks.
type world struct {
	calls  []string
	faults error
	binary string
}

func (w *world) Count() (running, stopped int) { return 2, 3 }
func (w *world) StopAll(ctx context.Context, timeout time.Duration) error {
	w.calls = append(w.calls, fmt.Sprintf("containers %v %v", timeout, ctx.Err()))
	return w.faults
}

func (w *world) List(context.Context) ([]resource.Image, error) {
	return make([]resource.Image, 4), nil
}

type worldNetworks struct{ *world }

func (w worldNetworks) Count() int { return 5 }
func (w worldNetworks) List(context.Context) []*snapshot.Of[resource.Network] {
	one := func(name, message string) *snapshot.Of[resource.Network] {
		n := resource.Network{Metadata: resource.Metadata{Name: name}}
		n.Status.State, n.Status.Message, n.Status.PluginPID = resource.NetworkDegraded, message, 7
		return &snapshot.Of[resource.Network]{Value: n}
	}
	return []*snapshot.Of[resource.Network]{one("a", "is half there"), one("b", resource.PluginSilent)}
}

func (w worldNetworks) StopAll(ctx context.Context) error {
	w.calls = append(w.calls, fmt.Sprintf("networks %v", ctx.Err()))
	return nil
}

type worldContainers struct{ *world }

func (w worldContainers) List(context.Context, bool) ([]*snapshot.Of[resource.Container], error) {
	one := func(name, message string) *snapshot.Of[resource.Container] {
		c := resource.Container{Metadata: resource.Metadata{Name: name}}
		c.Status.State, c.Status.Message, c.Status.HelperPID = resource.ContainerRunning, message, 8
		return &snapshot.Of[resource.Container]{Value: c}
	}
	return []*snapshot.Of[resource.Container]{one("c", ""), one("d", resource.HelperSilent)}, nil
}

type worldPlugins struct{ *world }

func (w worldPlugins) Directories() []string { return []string{"/p"} }
func (w worldPlugins) List() ([]resource.Plugin, error) {
	return []resource.Plugin{{Name: "bad", Fault: "one\ntwo"}, {Name: "bridge", Kind: resource.PluginNetwork}, {Name: "oci", Kind: resource.PluginRuntime}}, nil
}

func (w worldPlugins) Runtime(string) (manifest.Plugin, error) {
	return manifest.Plugin{Binary: w.binary}, nil
}

type worldEvents struct{ *world }

func (w worldEvents) Follow(context.Context, event.Query, func(event.Event) error) error { return nil }

func (w worldEvents) Forget() { w.calls = append(w.calls, "forget events") }

func service(w *world) *Service {
	return New(Config{
		Containers: worldContainers{w}, Images: w, Networks: worldNetworks{w}, Plugins: worldPlugins{w}, Events: worldEvents{w},
		Exit:           func() { w.calls = append(w.calls, "exit") },
		DefaultRuntime: "oci",
		DefaultNetwork: resource.PluginInfo{Plugin: "bridge"},
	})
}

// script is a runtime that answers its check with text and counts its runs.
func script(t *testing.T, text string) (binary string, runs func() int) {
	t.Helper()
	dir := t.TempDir()
	binary, log := filepath.Join(dir, "oci"), filepath.Join(dir, "log")
	body := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = check ] || exit 9\nprintf x >>%s\ncat <<'END'\n%s\nEND\n", log, text)
	if err := os.WriteFile(binary, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return binary, func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	binary, runs := script(t, `{"checks":[{"name":"oci runtime","ok":true,"detail":"crun"}]}`)
	s := service(&world{binary: binary})
	got := s.Info(t.Context())
	if got.ContainersRunning != 2 || got.ContainersStopped != 3 || got.Images != 4 || got.Networks != 5 || got.PID != os.Getpid() ||
		got.Kernel == "" || got.MemoryBytes <= 0 || got.Processors <= 0 || got.DefaultNetworkPlugin != "bridge" || got.DefaultRuntime != "oci" {
		t.Errorf("got %+v", got)
	}
	want := []resource.HostCheck{
		{Name: "plugin bad", Detail: "one; two"},
		{Name: "oci runtime", OK: true, Detail: "crun"},
		{Name: "network b", Detail: `its plugin does not answer (process 7): "patchbay plugin restart --network b" starts it anew`},
		{Name: "container d", Detail: `its runtime helper does not answer (process 8): "patchbay kill d" ends both`},
	}
	s.Checks(t.Context())
	if diff := cmp.Diff(want, s.Checks(t.Context())); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if runs() != 1 {
		t.Errorf("the runtime was asked %d times, want once", runs())
	}
}

func TestFailedCheckIsAskedAgain(t *testing.T) {
	t.Parallel()
	binary, runs := script(t, `{"checks":[{"name":"oci runtime","ok":false,"detail":"install crun"}]}`)
	s := service(&world{binary: binary})
	s.Checks(t.Context())
	s.Checks(t.Context())
	if runs() != 2 {
		t.Errorf("the runtime was asked %d times, want twice", runs())
	}
}

func TestCheckThatMakesNoSense(t *testing.T) {
	t.Parallel()
	binary, _ := script(t, "what?")
	for _, b := range []string{binary, "/no/such/runtime"} {
		checks := service(&world{binary: b}).Checks(t.Context())
		if last := checks[len(checks)-3]; last.Name != "runtime oci" || last.OK || last.Detail == "" {
			t.Errorf("%s: %+v, want a fault of runtime oci", b, last)
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	w := &world{faults: errors.Join(errors.New("container a: no"), errors.New("container b: no"))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client is gone
	faults := service(w).Shutdown(ctx, time.Minute)
	if diff := cmp.Diff([]string{"container a: no", "container b: no"}, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"containers 1m0s <nil>", "networks <nil>", "forget events", "exit"}, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(path, []byte("NAME=x\nPRETTY_NAME=\"Some Linux 1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := operatingSystem(path); got != "Some Linux 1" {
		t.Errorf("got %q", got)
	}
	if got := operatingSystem(path + ".none"); got != "linux" {
		t.Errorf("without the file: %q", got)
	}
	if got := cgroupVersion(t.TempDir()); got != "" {
		t.Errorf("without cgroups: %q", got)
	}
}
