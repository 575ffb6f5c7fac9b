package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

const macvlan = `name     = "macvlan"
kind     = "network"
protocol = 1
abstract = "Own MAC addresses"
default-variant = "bridge"
processors = 2

[variants.bridge]
strategy = "macvlan"
[variants.private]
strategy = "macvlan"
`

const oci = "name = \"oci\"\nkind = \"runtime\"\nprotocol = 1\nstrategies = [\"bridge-port\", \"macvlan\"]\n"

// install makes a plugin folder.
func install(t testing.TB, directory, name, text string) string {
	t.Helper()
	folder := filepath.Join(directory, name)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(folder, "bin"), 0o755),
		os.WriteFile(filepath.Join(folder, FileName), []byte(text), 0o644),
		os.WriteFile(filepath.Join(folder, "bin", name), []byte("#!/bin/sh\n"), 0o755),
		os.Chmod(folder, 0o755), os.Chmod(filepath.Join(folder, "bin"), 0o755), // whatever the umask
	); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestRead(t *testing.T) {
	t.Parallel()
	folder := install(t, t.TempDir(), "macvlan", macvlan)
	want := Plugin{
		Plugin: resource.Plugin{
			Name: "macvlan", Kind: resource.PluginNetwork, Protocol: 1, Abstract: "Own MAC addresses", Directory: folder, DefaultVariant: "bridge",
			Codec:    resource.CodecProto,
			Variants: []resource.PluginVariant{{Name: "bridge", Strategy: "macvlan"}, {Name: "private", Strategy: "macvlan"}},
		},
		Binary:     filepath.Join(folder, "bin", "macvlan"),
		Processors: 2,
	}
	if diff := cmp.Diff(want, Read(folder)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit  func(text string) string
		spoil func(folder string) error
		want  []string
	}{
		"syntax":              {func(s string) string { return strings.Replace(s, `= 1`, `= `, 1) }, nil, []string{"plugin.toml: line 3: "}},
		"unknown key":         {func(s string) string { return "colour = 1\n" + s }, nil, []string{`plugin.toml: line 1: unknown key "colour"`}},
		"other folder":        {func(s string) string { return strings.Replace(s, `"macvlan"`, `"ipvlan"`, 1) }, nil, []string{`name "ipvlan": want the name of the folder, "macvlan"`}},
		"kind":                {func(s string) string { return strings.Replace(s, `"network"`, `"disk"`, 1) }, nil, []string{`kind "disk": want "network" or "runtime"`}},
		"protocol":            {func(s string) string { return strings.Replace(s, `= 1`, `= 2`, 1) }, nil, []string{"protocol 2: want 1 to 1"}},
		"default variant":     {func(s string) string { return strings.Replace(s, `= "bridge"`, `= "x"`, 1) }, nil, []string{`default-variant "x": want one of bridge, private`}},
		"processors":          {func(s string) string { return strings.Replace(s, "processors = 2", "processors = -1", 1) }, nil, []string{"processors -1: want"}},
		"no strategy":         {func(s string) string { return strings.Replace(s, "strategy = \"macvlan\"\n", "", 1) }, nil, []string{`variant "bridge": has no strategy`}},
		"network strategies":  {func(s string) string { return "strategies = [\"x\"]\n" + s }, nil, []string{"strategies: are for kind"}},
		"codec":               {func(s string) string { return "codec = \"xml\"\n" + s }, nil, []string{`codec "xml": want "proto" or "json"`}},
		"codec of a runtime":  {func(string) string { return "codec = \"json\"\n" + oci }, nil, []string{"codec: is for kind"}},
		"network rates":       {func(s string) string { return "rates = [\"x\"]\n" + s }, nil, []string{"rates: are for kind"}},
		"unknown rates":       {func(string) string { return oci + "rates = [\"x\", \"macvlan\"]\n" }, nil, []string{`rates: "x": want one of strategies`}},
		"all at once":         {func(string) string { return "name = \"X\"\nkind = \"runtime\"\ndefault-variant=\"y\"" }, nil, []string{`name "X": want 1 to 32`, "protocol 0", "variants: are for kind", "strategies: is empty"}},
		"no binary":           {nil, func(f string) error { return os.Remove(filepath.Join(f, "bin", "macvlan")) }, []string{"bin/macvlan: no such file or directory"}},
		"not executable":      {nil, func(f string) error { return os.Chmod(filepath.Join(f, "bin", "macvlan"), 0o644) }, []string{"bin/macvlan: is not an executable file"}},
		"writable manifest":   {nil, func(f string) error { return os.Chmod(filepath.Join(f, FileName), 0o664) }, []string{"plugin.toml: is writable by group or others (mode 0664)"}},
		"writable folder":     {nil, func(f string) error { return os.Chmod(f, 0o777) }, []string{"macvlan: is writable by group or others (mode 0777)"}},
		"writable bin folder": {nil, func(f string) error { return os.Chmod(filepath.Join(f, "bin"), 0o757) }, []string{"bin: is writable by group or others (mode 0757)"}},
		"writable binary":     {nil, func(f string) error { return os.Chmod(filepath.Join(f, "bin", "macvlan"), 0o757) }, []string{"bin/macvlan: is writable by group or others (mode 0757)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := macvlan
			if tt.edit != nil {
				text = tt.edit(text)
			}
			directory := t.TempDir()
			folder := install(t, directory, "macvlan", text)
			if tt.spoil != nil {
				if err := tt.spoil(folder); err != nil {
					t.Fatal(err)
				}
			}
			fault := Read(folder).Fault
			for _, want := range tt.want {
				if !strings.Contains(fault, want) {
					t.Errorf("fault %q, want %q in it", fault, want)
				}
			}
			if _, err := Find([]string{directory}, resource.PluginNetwork, "macvlan"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
				t.Errorf("find: %v, want it not used", err)
			}
		})
	}
}

func TestScanAndFind(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	directories := []string{filepath.Join(first, "missing"), first, second}
	used := install(t, first, "macvlan", macvlan)
	shadowed := install(t, second, "macvlan", macvlan)
	if err := os.Mkdir(filepath.Join(first, "no-plugin"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := Scan(directories)
	if err != nil || len(got) != 1 || got[0].Directory != used || !cmp.Equal(got[0].Shadowed, []string{shadowed}) {
		t.Fatalf("got %+v, %v, want that of the first directory, the other shadowed", got, err)
	}
	install(t, second, "oci", oci) // shows at once
	runtime, err := Find(directories, resource.PluginRuntime, "oci")
	if err != nil || !cmp.Equal(runtime.Strategies, []string{"bridge-port", "macvlan"}) {
		t.Errorf("find oci: %+v, %v", runtime, err)
	}
	for name, want := range map[string]string{
		"oci":    `network plugin "oci": want one of macvlan: not found`,
		"bridge": `network plugin "bridge": want one of macvlan: not found`,
		"../x":   `network plugin "../x": want one of macvlan: not found`,
	} {
		if _, err := Find(directories, resource.PluginNetwork, name); !errors.Is(err, errdefs.ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("find %s: %v, want %s", name, err, want)
		}
	}
	if _, err := Find(nil, resource.PluginRuntime, "vm"); err == nil || !strings.Contains(err.Error(), "want one in") {
		t.Errorf("find without directories: %v", err)
	}
	if s, ok := got[0].Strategy("private"); s != "macvlan" || !ok {
		t.Errorf("strategy of private: %q, %v", s, ok)
	}
	if _, ok := got[0].Strategy("x"); ok {
		t.Error("there is a variant x")
	}
}

func TestDirectories(t *testing.T) {
	t.Setenv("PATCHBAY_PLUGIN_PATH", "/a:/b/:relative::/a")
	got := Directories([]string{"/c", "/etc/patchbay/plugins"})
	want := []string{"/a", "/b", "/c", "/etc/patchbay/plugins", "/usr/local/lib/patchbay/plugins", "/usr/lib/patchbay/plugins"}
	if diff := cmp.Diff(want, got[:len(got)-1]); diff != "" || !strings.HasSuffix(got[len(got)-1], "/lib/patchbay/plugins") {
		t.Errorf("(-want +got):\n%s%v", diff, got)
	}
}
