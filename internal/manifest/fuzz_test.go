package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// A manifest is refused, or says all that is needed to use its plugin.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{macvlan, oci, "codec = \"json\"\n" + macvlan, "kernel = true\n" + oci, "name = \"macvlan\"\n[variants]\n", "\x00", "name = [1, 2"} {
		f.Add([]byte(seed))
	}
	folder := filepath.Join(f.TempDir(), "macvlan")
	f.Fuzz(func(t *testing.T, text []byte) {
		install(t, filepath.Dir(folder), "macvlan", "")
		if err := os.WriteFile(filepath.Join(folder, FileName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		p := Read(folder)
		if p.Fault != "" {
			return
		}
		_, hasDefault := p.Strategy(p.DefaultVariant)
		fit := p.Name == "macvlan" && p.Protocol >= MinProtocol && p.Protocol <= MaxProtocol
		switch p.Kind {
		case resource.PluginNetwork:
			fit = fit && hasDefault && (p.Codec == resource.CodecProto || p.Codec == resource.CodecJSON) && len(p.Strategies) == 0
		case resource.PluginRuntime:
			fit = fit && len(p.Strategies) > 0 && !slices.Contains(p.Strategies, "") && p.Codec == "" && len(p.Variants) == 0
		default:
			fit = false
		}
		if !fit {
			t.Errorf("taken for fit: %+v", p)
		}
	})
}
