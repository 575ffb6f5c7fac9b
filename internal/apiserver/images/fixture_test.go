package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/catalog/catalogtest"
	"patchbay.dev/patchbay/internal/apiserver/images/document"
	"patchbay.dev/patchbay/internal/imagestore"
	"patchbay.dev/patchbay/resource"
)

// users are the containers that use images.
type users struct {
	mu   sync.Mutex
	data map[string][]string // guarded by mu
}

func (u *users) ContainersUsing(digest string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.data[digest])
}

// fixture is what a service needs and what stays when it is made anew.
type fixture struct {
	config Config
	users  *users
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	u := &users{data: map[string][]string{}}
	return &fixture{users: u, config: Config{
		Root: filepath.Join(dir, "images"),
		Catalog: catalog.Config{
			Images: catalogtest.NewMemory[catalog.Record](), References: catalogtest.NewMemory[catalog.Reference](), Users: u,
		},
		Credentials: filepath.Join(dir, "credentials.json"),
	}}
}

// start makes the service, as a start of the daemon does.
func (f *fixture) start(t *testing.T) *Service {
	t.Helper()
	s, err := New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newService(t *testing.T) *Service {
	t.Helper()
	return newFixture(t).start(t)
}

// storedFiles lists the store: blobs, partial blobs, layers (not their content) and tmp.
func storedFiles(t *testing.T, f *fixture) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"blobs/*/*", "partial/*", "layers/*", "tmp/*"} {
		found, err := filepath.Glob(filepath.Join(f.config.Root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			rel, _ := filepath.Rel(f.config.Root, path)
			list = append(list, rel)
		}
	}
	return list
}

// wantEmpty fails if the store holds anything.
func wantEmpty(t *testing.T, f *fixture) {
	t.Helper()
	if left := storedFiles(t, f); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

type entry struct{ name, content string }

// rootfs makes a tar archive that can be unpacked by who runs the test.
func rootfs(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(e.content)), Uid: os.Getuid(), Gid: os.Getgid()}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func compressed(t *testing.T, content []byte, c resource.Compression) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w, err := imagestore.Compress(&buffer, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// layer is a layer of the OCI type for its compression.
func layer(t *testing.T, c resource.Compression, entries ...entry) v1.Layer {
	t.Helper()
	plain := rootfs(t, entries...)
	diffID, _, err := v1.SHA256(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return withDiffID{static.NewLayer(compressed(t, plain, c), document.LayerTypes[c]), diffID}
}

type withDiffID struct {
	v1.Layer
	id v1.Hash
}

func (l withDiffID) DiffID() (v1.Hash, error) { return l.id, nil }

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

// image makes an OCI image of the layers for a platform.
func image(t *testing.T, platform string, layers ...v1.Layer) v1.Image {
	t.Helper()
	p, err := document.ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	i, err := mutate.ConfigFile(base, &v1.ConfigFile{
		Architecture: p.Architecture, OS: p.OS, Variant: p.Variant,
		RootFS: v1.RootFS{Type: "layers"}, Config: document.ImageConfig(completeRun),
	})
	if err != nil {
		t.Fatal(err)
	}
	if i, err = mutate.AppendLayers(i, layers...); err != nil {
		t.Fatal(err)
	}
	return i
}

func digestOf(t *testing.T, i interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// hub is a registry on the loopback interface that notes what it is asked.
type hub struct {
	*httptest.Server
	host string

	mu   sync.Mutex
	log  []string                                                             // guarded by mu: "METHOD path range"
	wrap func(next http.Handler) func(w http.ResponseWriter, r *http.Request) // guarded by mu; nil: as it is
	all  http.Handler
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{all: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "http://")
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.log = append(h.log, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, r.Header.Get("Range"))))
	wrap := h.wrap
	h.mu.Unlock()
	if wrap != nil {
		wrap(h.all)(w, r)
		return
	}
	h.all.ServeHTTP(w, r)
}

func (h *hub) setWrap(wrap func(next http.Handler) func(http.ResponseWriter, *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrap = wrap
}

// blobRequests returns the blobs asked for since the last call, and clears the log.
func (h *hub) blobRequests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, line := range h.log {
		if strings.HasPrefix(line, "GET ") && strings.Contains(line, "/blobs/") {
			list = append(list, line[strings.Index(line, "sha256:"):])
		}
	}
	h.log = nil
	slices.Sort(list)
	return list
}

// push puts something into the registry under "repository:tag" and returns
// its complete name.
func (h *hub) push(t *testing.T, ref string, what remote.Taggable) string {
	t.Helper()
	full := h.host + "/" + ref
	r, err := name.ParseReference(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(r, what); err != nil {
		t.Fatal(err)
	}
	h.blobRequests()
	return full
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(kindOf(err), kind) {
		t.Fatalf("error = %v (%v), want %v", err, kindOf(err), kind)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}
