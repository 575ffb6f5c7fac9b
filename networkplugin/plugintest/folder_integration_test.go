//go:build integration

package plugintest_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

var (
	folder       = flag.String("plugin", "../../examples/python-bridge", "`folder` of the plugin, with plugin.toml and bin/")
	options      = flag.String("options", "", "of its networks, as `KEY=VALUE,...`")
	layer2       = flag.Bool("layer2", false, "its networks hand out no addresses")
	exclusive    = flag.Bool("exclusive", false, "a network has room for one held lease")
	fixedSubnets = flag.Bool("fixed-subnets", false, "its networks refuse subnets given by the user")
)

// A plugin in a folder, written in whichever language, passes the suite with
// each of its variants. It runs in a network namespace of the test's own, which is
// empty before and has to be empty again at the end of each network.
func TestFolder(t *testing.T) {
	t.Parallel()
	plugin := manifest.Read(installed(t, *folder))
	if plugin.Fault != "" {
		t.Fatal(plugin.Fault)
	}
	wanted := map[string]string{}
	for pair := range strings.SplitSeq(*options, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			wanted[key] = value
		}
	}
	for _, variant := range plugin.Variants {
		t.Run(variant.Name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			plugintest.Run(t, plugintest.Config{
				Binary: plugin.Binary, Codec: plugin.Codec, Variant: variant.Name, Options: wanted,
				// No wrapper of somebody's home directory in place of an interpreter.
				Env:              []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
				Start:            netnstest.Starter(host),
				NetworkNamespace: func(t *testing.T) string { return netnstest.Path(netnstest.New(t)) },
				Residue: func(t *testing.T, _ string) (left []string) {
					all, err := netnstest.Link(t, host).Interfaces()
					if err != nil {
						t.Fatal(err)
					}
					for _, i := range all {
						if i.Name != "lo" {
							left = append(left, "interface "+i.Name)
						}
					}
					return left
				},
				Layer2: *layer2, Exclusive: *exclusive, FixedSubnets: *fixedSubnets,
			})
		})
	}
}

// installed copies a folder, as an installation does: whatever the umask of who
// checked it out, nobody else may write to it.
func installed(t *testing.T, folder string) string {
	t.Helper()
	absolute, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	source, target := os.DirFS(absolute), filepath.Join(t.TempDir(), filepath.Base(absolute))
	err = fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(target, path), 0o755)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(target, path), content, info.Mode().Perm()&^0o022)
	})
	if err != nil {
		t.Fatal(err)
	}
	return target
}
