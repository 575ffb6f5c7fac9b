package images

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/catalog/catalogtest"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

func kindOf(err error) error { return wire.Kind(err) }

func TestPull(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	lower := layer(t, resource.CompressionGzip, entry{"a", "lower"})
	middle := layer(t, resource.CompressionZstd, entry{"b", "middle"})
	upper := layer(t, resource.CompressionNone, entry{"a", "upper"})
	pushed := image(t, "", lower, middle, upper)
	ref := h.push(t, "some/box:1", pushed)

	var steps []string
	got, err := s.Pull(t.Context(), ref, "", func(p Progress) {
		if p.Step != resource.TransferDownload && p.Step != resource.TransferUnpack {
			steps = append(steps, strings.TrimSpace(fmt.Sprintf("%s %.12s", p.Step, p.ID)))
		}
		if p.Current > p.Total {
			t.Errorf("progress beyond its total: %+v", p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}

	var diffIDs []string
	wantSteps := []string{"resolve"}
	for _, l := range []v1.Layer{lower, middle, upper} {
		id, _ := l.DiffID()
		diffIDs = append(diffIDs, id.String())
		wantSteps = append(wantSteps, fmt.Sprintf("done %.12s", digestOf(t, l)))
	}
	want := resource.ImageConfiguration{
		Digest:    digestOf(t, pushed),
		Platform:  "linux/" + runtime.GOARCH,
		MediaType: string(types.OCIManifestSchema1),
		DiffIDs:   diffIDs,
		Run:       completeRun,
	}
	if diff := cmp.Diff(want, got.Configuration); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantSteps, steps); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if got.Name != ref || got.ID != want.Digest || got.Status.UnpackedBytes != int64(len("lower")+len("middle")+len("upper")) {
		t.Errorf("image = %+v", got)
	}
	dirs, err := s.Layers(got.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []entry{{"a", "upper"}, {"b", "middle"}, {"a", "lower"}} {
		if content, err := os.ReadFile(filepath.Join(dirs[i], want.name)); err != nil || string(content) != want.content {
			t.Errorf("layer %d from above, %s: %q, %v", i, want.name, content, err)
		}
	}
	if requests := h.blobRequests(); len(requests) != 4 || len(slices.Compact(requests)) != 4 {
		t.Errorf("blobs asked for: %v, want each of 4 once", requests)
	}

	if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
		t.Fatal(err)
	}
	if requests := h.blobRequests(); len(requests) > 0 {
		t.Errorf("blobs asked for again: %v", requests)
	}
}

func TestPullChoosesPlatform(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	other := "arm64"
	if runtime.GOARCH == "arm64" {
		other = "amd64"
	}
	here := image(t, "", layer(t, resource.CompressionGzip, entry{"a", "here"}))
	there := image(t, "linux/"+other, layer(t, resource.CompressionGzip, entry{"a", "there"}))
	platform := func(s string) *v1.Platform { p, _ := v1.ParsePlatform(s); return p }
	index := mutate.IndexMediaType(mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: there, Descriptor: v1.Descriptor{Platform: platform("linux/" + other)}},
		mutate.IndexAddendum{Add: here, Descriptor: v1.Descriptor{Platform: platform("linux/" + runtime.GOARCH)}},
		mutate.IndexAddendum{Add: image(t, "linux/s390x"), Descriptor: v1.Descriptor{Platform: platform("unknown/unknown")}},
	), types.OCIImageIndex)
	ref := h.push(t, "box:multi", index)
	single := h.push(t, "box:other", there)

	tests := map[string]struct {
		ref, platform string
		want          v1.Image
		text          string
	}{
		"host's":        {ref: ref, want: here},
		"other":         {ref: ref, platform: "linux/" + other, want: there},
		"none":          {ref: ref, platform: "linux/s390x", text: "image " + ref + ": has nothing for linux/s390x; there is: linux/" + other + ", linux/" + runtime.GOARCH + ": not found"},
		"single, other": {ref: single, text: "image " + single + ": is for linux/" + other + ", not for linux/" + runtime.GOARCH + ": not found"},
		"bad":           {ref: ref, platform: "arm64", text: `platform "arm64": want OS/ARCHITECTURE[/VARIANT], such as linux/arm64: invalid argument`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := s.Pull(t.Context(), tt.ref, tt.platform, nil)
			if tt.text != "" {
				if err == nil || err.Error() != tt.text {
					t.Errorf("error = %v\nwant    %s", err, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Configuration.Digest != digestOf(t, tt.want) || got.Configuration.IndexDigest != digestOf(t, index) {
				t.Errorf("got %+v", got.Configuration)
			}
		})
	}
	// By the index's digest, as other tools name such an image.
	byDigest := h.host + "/box@" + digestOf(t, index)
	if _, err := s.Pull(t.Context(), byDigest, "", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), byDigest); err != nil || got.Configuration.Digest != digestOf(t, here) {
		t.Errorf("by the index's digest: %v, %v", got.Configuration.Digest, err)
	}
}

// cutter lets a registry break off in the middle of the blob big.
func cutter(big string, after int, ranges bool) func(http.Handler) func(http.ResponseWriter, *http.Request) {
	return func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if !ranges {
				r.Header.Del("Range")
			}
			if !strings.HasSuffix(r.URL.Path, big) || after < 0 {
				next.ServeHTTP(w, r)
				return
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			for k, v := range recorder.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(recorder.Code)
			body := recorder.Body.Bytes()
			w.Write(body[:min(after, len(body)-1)])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

func TestPullGoesOnAfterInterruption(t *testing.T) {
	t.Parallel()
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges %v", ranges), func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			f := newFixture(t)
			s := f.start(t)
			small := layer(t, resource.CompressionNone, entry{"small", "x"})
			big := layer(t, resource.CompressionNone, entry{"big", strings.Repeat("0123456789abcdef", 1<<15)})
			pushed := image(t, "", small, big)
			ref := h.push(t, "box:1", pushed)
			size, _ := big.Size()

			const cut = 100000
			h.setWrap(cutter(digestOf(t, big), cut, ranges))
			_, err := s.Pull(t.Context(), ref, "", nil)
			wantKind(t, err, errdefs.ErrUnavailable)
			if list, _ := s.List(t.Context()); len(list) != 0 {
				t.Errorf("images after an interrupted pull: %v", list)
			}
			h.blobRequests()

			// The daemon's restart must not lose what arrived either.
			s = f.start(t)
			h.setWrap(cutter("", -1, ranges))
			if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
				t.Fatal(err)
			}
			offset := int64(attempts * cut)
			if !ranges {
				offset = cut
			}
			want := []string{fmt.Sprintf("%s bytes=%d-%d", digestOf(t, big), offset, size-1)}
			if diff := cmp.Diff(want, h.blobRequests()); diff != "" {
				t.Errorf("blobs asked for by the second pull (-want +got):\n%s", diff)
			}
		})
	}
}

// One break is mended within the same pull.
func TestPullMendsABreak(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	big := layer(t, resource.CompressionNone, entry{"big", strings.Repeat("x", 1<<18)})
	ref := h.push(t, "box:1", image(t, "", big))
	first := true
	h.setWrap(func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if first && strings.HasSuffix(r.URL.Path, digestOf(t, big)) {
				first = false
				cutter(digestOf(t, big), 1000, true)(next)(w, r)
			}
			next.ServeHTTP(w, r)
		}
	})
	if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
		t.Fatal(err)
	}
}

// A registry that falls silent does not hold a pull for ever.
func TestPullEndsWhenTheRegistryIsSilent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	f.config.Patience = 20 * time.Millisecond
	s := f.start(t)
	big := layer(t, resource.CompressionNone, entry{"big", strings.Repeat("x", 1<<16)})
	ref := h.push(t, "box:1", image(t, "", big))
	h.setWrap(func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, digestOf(t, big)) {
				next.ServeHTTP(w, r)
				return
			}
			w.Write([]byte("x"))
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	_, err := s.Pull(t.Context(), ref, "", nil)
	wantKind(t, err, errdefs.ErrUnavailable)
	if want := "image " + ref + ": registry " + h.host + ": sent nothing for 20ms: unavailable"; err.Error() != want {
		t.Errorf("error = %s\nwant    %s", err, want)
	}
}

func TestPullRefusesWhatIsNotAsItsDigestSays(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	s := f.start(t)
	l := layer(t, resource.CompressionNone, entry{"a", "true"})
	ref := h.push(t, "box:1", image(t, "", l))
	h.setWrap(func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			for k, v := range recorder.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(recorder.Code)
			w.Write(bytes.ReplaceAll(recorder.Body.Bytes(), []byte("true"), []byte("fals")))
		}
	})
	_, err := s.Pull(t.Context(), ref, "", nil)
	wantKind(t, err, errdefs.ErrDataLoss)
	wantEmpty(t, f)
}

func TestPullsAtOnceFetchOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	shared := layer(t, resource.CompressionGzip, entry{"a", strings.Repeat("shared", 10000)})
	var refs []string
	for i := range 4 {
		own := layer(t, resource.CompressionGzip, entry{"b", fmt.Sprint(i)})
		refs = append(refs, h.push(t, fmt.Sprintf("box:%d", i), image(t, "", shared, own)))
	}
	var group errgroup.Group
	for _, ref := range append(refs, refs...) {
		group.Go(func() error {
			_, err := s.Pull(t.Context(), ref, "", nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	requests := h.blobRequests()
	if twice := len(requests) - len(slices.Compact(slices.Clone(requests))); twice != 0 {
		t.Errorf("%d blobs asked for twice: %v", twice, requests)
	}
}

func TestPullErrors(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	l := layer(t, resource.CompressionNone, entry{"a", "a"})
	escaping := layer(t, resource.CompressionNone, entry{"../../escape", "a"})
	wrongCount, err := mutate.ConfigFile(image(t, "", l), &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	artifact := mutate.ConfigMediaType(image(t, "", l), "application/vnd.example.thing+json")
	gone := layer(t, resource.CompressionNone, entry{"gone", "x"})
	lost := h.push(t, "lost:1", image(t, "", gone))
	h.setWrap(func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.ReplaceAll(r.URL.Path, digestOf(t, gone), "sha256:"+strings.Repeat("0", 64))
			next.ServeHTTP(w, r)
		}
	})
	closed := httptest.NewServer(http.NotFoundHandler())
	closedHost := strings.TrimPrefix(closed.URL, "http://")
	closed.Close()
	tests := map[string]struct {
		ref  string
		kind error
		text string // %H stands for the registry
	}{
		"unknown tag": {
			h.host + "/box:none", errdefs.ErrNotFound,
			"image %H/box:none: registry %H: GET http://%H/v2/box/manifests/none: NAME_UNKNOWN: Unknown name: not found",
		},
		"bad name": {
			"Box", errdefs.ErrInvalidArgument,
			`image name "Box": invalid reference format: repository name (library/Box) must be lowercase: want [REGISTRY/]NAME[:TAG] in lower case: invalid argument`,
		},
		"escaping layer": {
			h.push(t, "escape:1", image(t, "", escaping)), errdefs.ErrInvalidArgument,
			"image %H/escape:1: layer " + digestOf(t, escaping) + `: entry "../../escape": its path leaves the root of the layer: invalid argument`,
		},
		"no image": {
			h.push(t, "artifact:1", artifact), errdefs.ErrInvalidArgument,
			`image %H/artifact:1: is no container image: its configuration has the type "application/vnd.example.thing+json": invalid argument`,
		},
		"layers that do not fit": {
			h.push(t, "count:1", wrongCount), errdefs.ErrInvalidArgument, "",
		},
		"nobody there": {closedHost + "/box:1", errdefs.ErrUnavailable, ""},
		"blob that the registry lost": {
			lost, errdefs.ErrNotFound,
			"image %H/lost:1: registry %H: GET http://%H/v2/lost/blobs/" + digestOf(t, gone) + ": BLOB_UNKNOWN: Unknown blob: not found",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			_, err := f.start(t).Pull(t.Context(), tt.ref, "", nil)
			wantKind(t, err, tt.kind)
			if want := strings.ReplaceAll(tt.text, "%H", h.host); want != "" && err.Error() != want {
				t.Errorf("error = %s\nwant    %s", err, want)
			}
			wantEmpty(t, f)
		})
	}
}

func TestPullFromInsecureRegistry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
	encrypted := httptest.NewUnstartedServer(h)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	host := strings.TrimPrefix(encrypted.URL, "https://")

	f := newFixture(t)
	_, err := f.start(t).Pull(t.Context(), host+"/box:1", "", nil)
	if err == nil {
		t.Fatal("pulled from a registry with a certificate of nobody")
	}
	f.config.InsecureRegistries = []string{host}
	if _, err := f.start(t).Pull(t.Context(), host+"/box:1", "", nil); err != nil {
		t.Fatal(err)
	}
	f.config.InsecureRegistries = []string{"http://x"}
	_, err = New(f.config)
	wantKind(t, err, errdefs.ErrInvalidArgument)
}

func TestPullSurvivesRestart(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	ref := h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
	before, err := f.start(t).Pull(t.Context(), ref, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := f.start(t)
	after, err := s.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("image after a restart (-before +after):\n%s", diff)
	}
	dirs, err := s.Layers(after.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dirs[0], "a")); err != nil {
		t.Error(err)
	}
}

// A store that cannot take the record leaves no image and no name.
func TestPullWithFailingStore(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	f.config.Catalog.Images.(*catalogtest.Memory[catalog.Record]).Fail(fmt.Errorf("refused: %w", errdefs.ErrResourceExhausted))
	s := f.start(t)
	ref := h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
	_, err := s.Pull(t.Context(), ref, "", nil)
	wantKind(t, err, errdefs.ErrResourceExhausted)
	if _, err := s.Get(t.Context(), ref); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("error = %v, want not found", err)
	}
	wantEmpty(t, f)
}

func TestPush(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	original := image(t, "", layer(t, resource.CompressionZstd, entry{"a", "zstd"}), layer(t, resource.CompressionGzip, entry{"b", "gzip"}))
	ref := h.push(t, "box:1", original)
	if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
		t.Fatal(err)
	}
	other := newHub(t)
	uploaded := map[string]int64{}
	target := other.host + "/copy/of/box:2"
	pushed, err := s.Push(t.Context(), ref, target, func(p Progress) {
		if p.Step == resource.TransferUpload {
			uploaded[p.ID] = p.Current
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if pushed != digestOf(t, original) {
		t.Errorf("digest = %s, want %s", pushed, digestOf(t, original))
	}
	layers, _ := original.Layers()
	for _, l := range layers {
		if size, _ := l.Size(); uploaded[digestOf(t, l)] != size {
			t.Errorf("progress of %s ends at %d, want %d", digestOf(t, l), uploaded[digestOf(t, l)], size)
		}
	}
	fresh := newService(t)
	got, err := fresh.Pull(t.Context(), target, "", nil)
	if err != nil || got.ID != digestOf(t, original) {
		t.Errorf("pulled back: %s, %v", got.ID, err)
	}

	_, err = s.Push(t.Context(), "none", "", nil)
	wantKind(t, err, errdefs.ErrNotFound)
	_, err = s.Push(t.Context(), ref, other.host+"/x@"+pushed, nil)
	wantKind(t, err, errdefs.ErrInvalidArgument)
	other.Close()
	_, err = s.Push(t.Context(), ref, target, nil)
	wantKind(t, err, errdefs.ErrUnavailable)
}
