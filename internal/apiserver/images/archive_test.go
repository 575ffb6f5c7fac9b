package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

// importBox imports a root file system with one file as box:latest.
func importBox(t *testing.T, s *Service, content string) resource.Image {
	t.Helper()
	i, err := s.Import(t.Context(), bytes.NewReader(rootfs(t, entry{"file", content})), "box", completeRun)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// fileOf reads the file of importBox.
func fileOf(t *testing.T, s *Service, i resource.Image) string {
	t.Helper()
	dirs, err := s.Layers(i.ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dirs[0], "file"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestImport(t *testing.T) {
	t.Parallel()
	for _, c := range []resource.Compression{resource.CompressionNone, resource.CompressionGzip, resource.CompressionZstd} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			archive := compressed(t, rootfs(t, entry{"file", "content"}), c)
			got, err := s.Import(t.Context(), bytes.NewReader(archive), "box", completeRun)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(completeRun, got.Configuration.Run); diff != "" {
				t.Errorf("run configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"box:latest"}, got.Status.References); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
			if got := fileOf(t, s, got); got != "content" {
				t.Errorf("file = %q", got)
			}
		})
	}
}

func TestImportRefusesRunConfiguration(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.start(t).Import(t.Context(), bytes.NewReader(rootfs(t, entry{"a", "b"})), "box", resource.ImageRunConfiguration{Env: []string{"A"}})
	wantKind(t, err, errdefs.ErrInvalidArgument)
	wantEmpty(t, f)
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	multi := h.push(t, "multi:1", image(t, "", layer(t, resource.CompressionZstd, entry{"a", "lower"}), layer(t, resource.CompressionGzip, entry{"file", "upper"})))
	for _, format := range []resource.ArchiveFormat{resource.ArchiveOCI, resource.ArchiveDocker} {
		for _, c := range []resource.Compression{resource.CompressionNone, resource.CompressionGzip, resource.CompressionZstd} {
			t.Run(string(format)+" "+string(c), func(t *testing.T) {
				t.Parallel()
				s := newService(t)
				box := importBox(t, s, "content")
				if err := s.Tag(t.Context(), "box", "box:second"); err != nil {
					t.Fatal(err)
				}
				pulled, err := s.Pull(t.Context(), multi, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				var archive bytes.Buffer
				if err := s.Save(t.Context(), &archive, []string{"box", multi, "box:second"}, format, c); err != nil {
					t.Fatal(err)
				}
				fresh := newFixture(t)
				other := fresh.start(t)
				loaded, err := other.Load(t.Context(), &archive, "")
				if err != nil {
					t.Fatal(err)
				}
				if len(loaded) != 2 {
					t.Errorf("loaded %d images, want 2", len(loaded))
				}
				compareLoaded(t, other, box, format)
				compareLoaded(t, other, pulled, format)
				if got, err := other.Get(t.Context(), "box"); err != nil || !cmp.Equal(got.Status.References, []string{"box:latest", "box:second"}) {
					t.Errorf("names of box: %v, %v", got.Status.References, err)
				}
				if got, _ := other.Get(t.Context(), multi); fileOf(t, other, got) != "upper" {
					t.Error("the upper layer's file is missing")
				}
				if left, _ := os.ReadDir(filepath.Join(fresh.config.Root, "tmp")); len(left) > 0 {
					t.Errorf("left in tmp: %v", left)
				}
			})
		}
	}
}

func compareLoaded(t *testing.T, s *Service, want resource.Image, format resource.ArchiveFormat) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Name)
	if err != nil {
		t.Fatal(err)
	}
	ignored := cmpopts.IgnoreFields(resource.ImageConfiguration{}, "IndexDigest")
	if format == resource.ArchiveDocker { // such an archive has no manifests
		ignored = cmpopts.IgnoreFields(resource.ImageConfiguration{}, "Digest", "IndexDigest", "MediaType")
	}
	if diff := cmp.Diff(want.Configuration, got.Configuration, ignored); diff != "" {
		t.Errorf("image %s (-saved +loaded):\n%s", want.Name, diff)
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.start(t)
	importBox(t, s, "x")
	wantKind(t, s.Save(t.Context(), io.Discard, nil, "", ""), errdefs.ErrInvalidArgument)
	wantKind(t, s.Save(t.Context(), io.Discard, []string{"none"}, "", ""), errdefs.ErrNotFound)
	wantKind(t, s.Save(t.Context(), io.Discard, []string{"box"}, "zip", ""), errdefs.ErrInvalidArgument)
	wantKind(t, s.Save(t.Context(), io.Discard, []string{"box"}, "", "xz"), errdefs.ErrInvalidArgument)
	full := errors.New("full")
	for _, format := range []resource.ArchiveFormat{resource.ArchiveOCI, resource.ArchiveDocker} {
		for _, after := range []int{0, 3000, 6000} {
			if err := s.Save(t.Context(), &fullWriter{after, full}, []string{"box"}, format, ""); !errors.Is(err, full) {
				t.Errorf("%s after %d bytes: error = %v, want %v", format, after, err, full)
			}
		}
	}
	if _, err := s.Delete(t.Context(), "box", false); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, f) // nothing is pinned
}

type fullWriter struct {
	left int
	err  error
}

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestLoadNamesTheNameless(t *testing.T) {
	t.Parallel()
	s := newService(t)
	box := importBox(t, s, "x")
	var archive bytes.Buffer
	if err := s.Save(t.Context(), &archive, []string{box.ID}, "", ""); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string][]string{"": nil, "given:1": {"given:1"}} {
		loaded, err := newService(t).Load(t.Context(), bytes.NewReader(archive.Bytes()), ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, loaded[0].Status.References); diff != "" {
			t.Errorf("names with %q (-want +got):\n%s", ref, diff)
		}
	}
}

// Of an archive with a damaged image nothing is loaded, the sound ones neither.
func TestLoadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	source := newService(t)
	importBox(t, source, "sound")
	if err := source.Tag(t.Context(), "box", "sound"); err != nil {
		t.Fatal(err)
	}
	importBox(t, source, "damaged")
	var archive bytes.Buffer
	if err := source.Save(t.Context(), &archive, []string{"sound", "box"}, "", ""); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	s := f.start(t)
	_, err := s.Load(t.Context(), bytes.NewReader(bytes.Replace(archive.Bytes(), []byte("damaged"), []byte("DAMAGED"), 1)), "")
	wantKind(t, err, errdefs.ErrDataLoss)
	if list, _ := s.List(t.Context()); len(list) > 0 {
		t.Errorf("loaded: %v", list)
	}
	for _, file := range storedFiles(t, f) {
		if !strings.HasPrefix(file, "layers/") { // for the next try, until a start or a prune
			t.Errorf("left in the store: %s", file)
		}
	}
}

// A layer that is there twice is a link in archives of docker.
func TestLoadFollowsLinksInArchive(t *testing.T) {
	t.Parallel()
	s := newService(t)
	importBox(t, s, "content")
	var archive, linked bytes.Buffer
	if err := s.Save(t.Context(), &archive, []string{"box"}, resource.ArchiveDocker, ""); err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(&linked)
	for r := tar.NewReader(&archive); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := header.Name
		if strings.HasSuffix(name, ".tar") {
			header.Name = "x/layer.tar"
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "./x/layer.tar"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	other := newService(t)
	loaded, err := other.Load(t.Context(), &linked, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := fileOf(t, other, loaded[0]); got != "content" {
		t.Errorf("file = %q", got)
	}
}

func TestBadArchives(t *testing.T) {
	t.Parallel()
	source := newService(t)
	box := importBox(t, source, strings.Repeat("content", 1000))
	var oci, docker bytes.Buffer
	for format, w := range map[resource.ArchiveFormat]io.Writer{resource.ArchiveOCI: &oci, resource.ArchiveDocker: &docker} {
		if err := source.Save(t.Context(), w, []string{"box"}, format, ""); err != nil {
			t.Fatal(err)
		}
	}
	layerBlob := "blobs/sha256/" + strings.TrimPrefix(box.Configuration.DiffIDs[0], "sha256:")
	load := func(s *Service, archive []byte) error {
		_, err := s.Load(context.Background(), bytes.NewReader(archive), "")
		return err
	}
	imports := func(s *Service, archive []byte) error {
		_, err := s.Import(context.Background(), bytes.NewReader(archive), "box", resource.ImageRunConfiguration{})
		return err
	}
	index := func(text string) []byte { return rootfs(t, entry{"index.json", text}) }
	tests := map[string]struct {
		do      func(*Service, []byte) error
		archive []byte
		kind    error
		text    string
	}{
		"load nothing":                 {load, nil, errdefs.ErrInvalidArgument, "archive: has neither index.json nor manifest.json"},
		"load text":                    {load, []byte(strings.Repeat("some text\n", 100)), errdefs.ErrInvalidArgument, "archive: want a tar archive, plain or compressed with gzip or zstd: archive/tar: invalid tar header"},
		"load a root file system":      {load, rootfs(t, entry{"bin/sh", "x"}), errdefs.ErrInvalidArgument, "archive: has neither index.json nor manifest.json"},
		"load xz":                      {load, []byte("\xfd7zXZ\x00abc"), errdefs.ErrInvalidArgument, "archive: is compressed with xz"},
		"load cut oci":                 {load, oci.Bytes()[:oci.Len()/2], errdefs.ErrInvalidArgument, `archive: at entry "` + layerBlob + `": unexpected EOF`},
		"load cut gzip":                {load, compressed(t, oci.Bytes(), resource.CompressionGzip)[:100], errdefs.ErrInvalidArgument, "archive: "},
		"load cut zstd":                {load, compressed(t, oci.Bytes(), resource.CompressionZstd)[:100], errdefs.ErrInvalidArgument, "archive: "},
		"load changed layer":           {load, bytes.Replace(oci.Bytes(), []byte("content"), []byte("CONTENT"), 1), errdefs.ErrDataLoss, `image box:latest: archive: entry "` + layerBlob + `": its content has the digest sha256:`},
		"load changed layer in docker": {load, bytes.Replace(docker.Bytes(), []byte("content"), []byte("CONTENT"), 1), errdefs.ErrDataLoss, "image box:latest: layer sha256:"},
		"load bad json":                {load, index("{"), errdefs.ErrInvalidArgument, `archive: entry "index.json": unexpected EOF`},
		"load empty index":             {load, index("{}"), errdefs.ErrInvalidArgument, "archive: index.json names no image"},
		"load missing blob":            {load, index(`{"manifests":[{"digest":"` + box.ID + `"}]}`), errdefs.ErrInvalidArgument, `archive: has no entry "blobs/sha256/`},
		"load path as digest":          {load, index(`{"manifests":[{"digest":"sha256:../../x"}]}`), errdefs.ErrInvalidArgument, "archive: "},
		"load entry twice":             {load, rootfs(t, entry{"index.json", "{}"}, entry{"./index.json", "{}"}), errdefs.ErrInvalidArgument, `archive: at entry "./index.json": is there twice`},
		"import nothing":               {imports, nil, errdefs.ErrInvalidArgument, "image box:latest: archive: is empty"},
		"import text":                  {imports, []byte(strings.Repeat("some text\n", 100)), errdefs.ErrInvalidArgument, "image box:latest: layer sha256:"},
		"import cut":                   {imports, rootfs(t, entry{"a", strings.Repeat("x", 4096)})[:1000], errdefs.ErrInvalidArgument, "image box:latest: layer sha256:"},
		"import escaping":              {imports, rootfs(t, entry{"../a", "x"}), errdefs.ErrInvalidArgument, "image box:latest: layer sha256:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			err := tt.do(f.start(t), tt.archive)
			wantKind(t, err, tt.kind)
			if !strings.HasPrefix(err.Error(), tt.text) {
				t.Errorf("error = %s\nwant    %s", err, tt.text)
			}
			wantEmpty(t, f)
		})
	}
}

// The sender going away is no fault of the archive.
func TestLoadEndsWithContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Load(ctx, bytes.NewReader(rootfs(t, entry{"index.json", "{}"})), "")
	wantKind(t, err, context.Canceled)
	_, err = s.Import(ctx, bytes.NewReader(rootfs(t, entry{"a", "b"})), "box", resource.ImageRunConfiguration{})
	wantKind(t, err, context.Canceled)
	wantEmpty(t, f)
}
