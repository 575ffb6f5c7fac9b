package document

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/resource"
)

var layer = Layer{Digest: digest.FromString("packed"), Size: 5, Compression: resource.CompressionGzip, DiffID: digest.FromString("plain")}

// completeRun uses every field.
var completeRun = resource.ImageRunConfiguration{
	User:             "1000:1000",
	ExposedPorts:     []string{"53/udp", "80/tcp"},
	Env:              []string{"PATH=/bin", "A=b c"},
	Entrypoint:       []string{"/bin/entry"},
	Cmd:              []string{"-x", ""},
	Volumes:          []string{"/data", "/var/lib/x"},
	WorkingDirectory: "/work",
	Labels:           map[string]string{"k": "v"},
	StopSignal:       "SIGINT",
}

// What is written can be read, and says the same.
func TestWrite(t *testing.T) {
	t.Parallel()
	manifest, config, err := Write(layer, completeRun)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	host, err := ParsePlatform("")
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.WithConfig(config, &host)
	if err != nil {
		t.Fatal(err)
	}
	want := resource.ImageConfiguration{
		Digest: digest.FromBytes(manifest).String(), Platform: host.String(), MediaType: string(types.OCIManifestSchema1),
		DiffIDs: []string{layer.DiffID.String()}, Run: completeRun,
	}
	if diff := cmp.Diff(want, i.Configuration()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{want.Digest, digest.FromBytes(config).String(), layer.Digest.String()}, i.Blobs()); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if got, want := i.Size(), int64(len(manifest)+len(config)+5); got != want {
		t.Errorf("size = %d, want %d", got, want)
	}
	if diff := cmp.Diff(want.DiffIDs, i.Chains()); diff != "" { // the lowest one's is its diff id
		t.Errorf("chains (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, i.Configuration()); diff != "" {
		t.Errorf("configuration once more (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	manifest, _, err := Write(layer, resource.ImageRunConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ old, new, text string }{
		"text":                  {string(manifest), "text", "manifest: invalid character "},
		"schema":                {`"schemaVersion":2`, `"schemaVersion":1`, "manifest of schema 1 and type \"application/vnd.oci.image.manifest.v1+json\": want an image of schema 2"},
		"index":                 {string(types.OCIManifestSchema1), string(types.OCIImageIndex), "manifest of schema 2 and type \"application/vnd.oci.image.index.v1+json\": want an image of schema 2"},
		"artifact":              {string(types.OCIConfigJSON), "application/x+json", `is no container image: its configuration has the type "application/x+json"`},
		"no layer":              {`"layers":[`, `"layers":[],"other":[`, "has 0 layers: want 1 to 500"},
		"layer of another type": {string(types.OCILayer), "text/plain", "layer " + layer.Digest.String() + `: has the type "text/plain": want a tar archive, plain or compressed with gzip or zstd`},
		"negative size":         {`"size":5`, `"size":-5`, `manifest: blob "` + layer.Digest.String() + `" of -5 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(strings.Replace(string(manifest), tt.old, tt.new, 1)), "")
			if err == nil || !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), tt.text) {
				t.Errorf("error = %v, want %s", err, tt.text)
			}
		})
	}
}

func TestConfigMustFit(t *testing.T) {
	t.Parallel()
	manifest, config, err := Write(layer, resource.ImageRunConfiguration{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	prefix := "configuration " + m.Config.Digest.String() + ": "
	other := v1.Platform{OS: "linux", Architecture: "s390x"}
	for name, tt := range map[string]struct {
		config string
		want   *v1.Platform
		text   string
	}{
		"any platform":   {config: string(config)},
		"other platform": {config: string(config), want: &other, text: "is for linux/"},
		"says none":      {config: `{"rootfs":{"diff_ids":["` + layer.DiffID.String() + `"]}}`, want: &other},
		"text":           {config: "text", text: prefix},
		"no layers":      {config: "{}", text: prefix + "names 0 layers, the manifest 1: invalid argument"},
		"sha512":         {config: `{"rootfs":{"diff_ids":["sha512:` + strings.Repeat("0", 128) + `"]}}`, text: prefix},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := m.WithConfig([]byte(tt.config), tt.want)
			if tt.text == "" && err != nil || tt.text != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.text)) {
				t.Errorf("error = %v, want %q", err, tt.text)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	index := func(platforms ...string) *v1.IndexManifest {
		x := &v1.IndexManifest{}
		for n, s := range platforms {
			d := v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(n)}
			if s != "" {
				d.Platform, _ = v1.ParsePlatform(s)
			}
			x.Manifests = append(x.Manifests, d)
		}
		return x
	}
	for name, tt := range map[string]struct {
		index *v1.IndexManifest
		want  string
		size  int64 // the chosen one's place in the index
		text  string
	}{
		"the one":              {index("linux/amd64", "linux/arm64"), "linux/arm64", 1, ""},
		"the most modest":      {index("linux/arm/v7", "linux/arm"), "linux/arm", 1, ""},
		"a variant":            {index("linux/arm/v6", "linux/arm/v7"), "linux/arm/v7", 1, ""},
		"the first variant":    {index("linux/arm/v6", "linux/arm/v7"), "linux/arm", 0, ""},
		"no attestation":       {index("unknown/unknown", "linux/arm64"), "linux/arm64", 1, ""},
		"one without platform": {index(""), "linux/arm64", 0, ""},
		"none":                 {index("linux/amd64", "", "linux/arm"), "linux/arm64", 0, "has nothing for linux/arm64; there is: linux/amd64, linux/arm: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := ParsePlatform(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Choose(tt.index, want)
			if tt.text != "" {
				if err == nil || err.Error() != tt.text {
					t.Errorf("error = %v, want %s", err, tt.text)
				}
				return
			}
			if err != nil || got.Size != tt.size {
				t.Errorf("chose number %d, %v; want %d", got.Size, err, tt.size)
			}
		})
	}
}
