package imagearchive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/internal/imagestore"
)

// What is no archive gets an error of one line and leaves nothing.
func FuzzRead(f *testing.F) {
	for _, content := range []string{"{}", `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:x"}]}`} {
		for _, name := range []string{"index.json", "manifest.json", "../x"} {
			var seed bytes.Buffer
			w := tar.NewWriter(&seed)
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content))}); err != nil {
				f.Fatal(err)
			}
			if _, err := io.WriteString(w, content); err != nil {
				f.Fatal(err)
			}
			if err := w.Close(); err != nil {
				f.Fatal(err)
			}
			f.Add(seed.Bytes())
		}
	}
	root := f.TempDir()
	store, err := imagestore.Open(root)
	if err != nil {
		f.Fatal(err)
	}
	first := func(index *v1.IndexManifest) (v1.Descriptor, error) {
		if len(index.Manifests) == 0 {
			return v1.Descriptor{}, os.ErrNotExist
		}
		return index.Manifests[0], nil
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		archive, err := Read(t.Context(), store, bytes.NewReader(content))
		if err == nil {
			_, err = archive.Images(first)
			if discardErr := archive.Discard(); discardErr != nil {
				t.Error(discardErr)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error has several lines: %q", err)
		}
		if left, err := os.ReadDir(root + "/tmp"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}
