package document

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ParsePlatform reads "os/architecture[/variant]"; empty is the host's.
func ParsePlatform(s string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" {
		return v1.Platform{}, fmt.Errorf("platform %q: want OS/ARCHITECTURE[/VARIANT], such as linux/arm64: %w", s, errdefs.ErrInvalidArgument)
	}
	return *p, nil
}

// satisfies tells whether an image for have runs where want is asked for.
func satisfies(have, want v1.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == want.Variant)
}

// Choose finds the manifest of an index for a platform. Of several the one
// without a variant, the most modest one, is taken.
func Choose(index *v1.IndexManifest, want v1.Platform) (v1.Descriptor, error) {
	var found *v1.Descriptor
	var there []string
	for i, d := range index.Manifests {
		if !d.MediaType.IsImage() || d.Platform == nil || d.Platform.OS == "unknown" { // an attestation
			continue
		}
		there = append(there, d.Platform.String())
		if satisfies(*d.Platform, want) && (found == nil || found.Platform.Variant != "" && d.Platform.Variant == "") {
			found = &index.Manifests[i]
		}
	}
	if found != nil {
		return *found, nil
	}
	if len(there) == 0 && len(index.Manifests) == 1 && index.Manifests[0].MediaType.IsImage() {
		return index.Manifests[0], nil
	}
	return v1.Descriptor{}, fmt.Errorf("has nothing for %s; there is: %s: %w",
		want, strings.Join(there, ", "), errdefs.ErrNotFound)
}
