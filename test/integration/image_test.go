//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// serveRegistry serves an empty registry on the host's loopback and returns
// its name.
func (h *host) serveRegistry(user, password string) string {
	h.t.Helper()
	var l net.Listener
	err := h.ns.Do(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); user != "" && (!ok || u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	h.t.Cleanup(func() {
		server.Close()
		<-done
	})
	return l.Addr().String()
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	open := h.serveRegistry("", "")
	there := open + "/team/box:1"
	h.patchbay("image", "tag", "box:latest", there)
	h.patchbay("image", "push", there)
	h.patchbay("image", "delete", there)
	wantRefusal(t, h.try("run", "--rm", "--pull", "never", "--network", "none", there, "true"), []int{125}, there, "pull")
	if got := h.patchbay("run", "--rm", "--network", "none", there, "echo", "pulled"); got != "pulled" {
		t.Errorf("run of an image that is not here: got %q", got)
	}
	wantRefusal(t, h.try("image", "pull", "-q", open+"/team/nothing:1"), []int{1}, open+"/team/nothing:1")

	closed := h.serveRegistry("user", "secret")
	there = closed + "/box:1"
	h.patchbay("image", "tag", "box:latest", there)
	wantRefusal(t, h.try("image", "push", "-q", there), []int{1}, closed)
	wantRefusal(t, h.tryInput("wrong", "registry", "login", "-u", "user", "--password-stdin", closed), []int{1}, closed)
	h.must(h.tryInput("secret", "registry", "login", "-u", "user", "--password-stdin", closed))
	h.patchbay("image", "push", there)
	if out := h.patchbay("registry", "list"); !strings.Contains(out, closed) || strings.Contains(out, "secret") {
		t.Errorf("registry list: want the registry without its secret:\n%s", out)
	}
	if info, err := os.Stat(filepath.Join(h.root, "credentials.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials: want a file for its owner alone, got %v, %v", info, err)
	}
	h.patchbay("registry", "logout", closed)
	wantRefusal(t, h.try("image", "push", "-q", there), []int{1}, closed)
}

// layer is a layer with the entries that build writes.
func layer(t *testing.T, build func(w *tar.Writer)) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	build(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// archive writes a docker-archive of the box and further layers.
func (h *host) archive(file, reference string, change func(*v1.Config), layers ...v1.Layer) string {
	h.t.Helper()
	content, err := box()
	if err != nil {
		h.t.Fatal(err)
	}
	base, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		h.t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, append([]v1.Layer{base}, layers...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	configuration, err := image.ConfigFile()
	if err != nil {
		h.t.Fatal(err)
	}
	configuration = configuration.DeepCopy()
	configuration.OS, configuration.Architecture = "linux", "amd64"
	if change != nil {
		change(&configuration.Config)
	}
	if image, err = mutate.ConfigFile(image, configuration); err != nil {
		h.t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.dir, file)
	if err := tarball.WriteToFile(path, tag, image); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// The image's configuration holds where the command line says nothing.
func TestImageConfiguration(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	path := h.archive("app.tar", "app:1", func(c *v1.Config) {
		c.Entrypoint, c.Cmd = []string{"sh", "-c"}, []string{"echo $A $(pwd) $(id -un); ls -d /data"}
		c.Env, c.User, c.WorkingDir = []string{"PATH=/bin", "A=image"}, "user", "/srv/app"
		c.Volumes, c.StopSignal = map[string]struct{}{"/data": {}}, "SIGUSR1"
	})
	h.patchbay("image", "load", "-i", path)
	run := []string{"run", "--rm", "--network", "none"}
	if got := h.patchbay(append(run, "app:1")...); got != "image /srv/app user\n/data" {
		t.Errorf("entrypoint, command, environment, directory, user, volume: got %q", got)
	}
	if got := h.patchbay(append(run, "-e", "A=mine", "app:1", "echo $A")...); got != "mine" {
		t.Errorf("another command and environment: got %q", got)
	}
	if got := h.patchbay(append(run, "--entrypoint", "echo", "app:1", "hello")...); got != "hello" {
		t.Errorf("another entrypoint: got %q", got)
	}
	h.patchbay("run", "-d", "--name", "one", "--network", "none", "app:1", "trap 'exit 5' USR1; echo ready; while true; do sleep 0.1; done")
	eventually(t, settle, func() error {
		if r := h.try("logs", "one"); !strings.Contains(r.stdout, "ready") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	h.patchbay("stop", "-t", "120", "one") // or a busy machine lets it be killed
	if s := h.container("one").Status; s.ExitCode != 5 {
		t.Errorf("stop signal of the image: got %+v, want exit code 5", s)
	}
}

// What is saved can be loaded, in each form.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	for i, args := range [][]string{nil, {"--archive", "docker"}, {"--compression", "gzip"}, {"--compression", "zstd"}} {
		reference := fmt.Sprintf("copy:%d", i)
		path := filepath.Join(h.dir, fmt.Sprintf("saved-%d.tar", i))
		h.patchbay("image", "tag", "box:latest", reference)
		h.patchbay(append(append([]string{"image", "save", "-o", path}, args...), reference)...)
		h.patchbay("image", "delete", reference)
		h.patchbay("image", "load", "-i", path)
		if got := h.patchbay("run", "--rm", "--network", "none", reference, "echo", "loaded"); got != "loaded" {
			t.Errorf("save %v: run of the loaded image: got %q", args, got)
		}
	}
}

// Bad archives are refused in a line and leave nothing; nothing is ever written
// outside of the layer.
func TestBadArchives(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	images := h.patchbay("image", "list", "--format", "json")
	whole, err := os.ReadFile(h.archive("whole.tar", "whole:1", nil))
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	z.Write(whole)
	z.Close()
	for name, content := range map[string][]byte{
		"empty":          {},
		"nonsense":       []byte(strings.Repeat("nonsense", 1000)),
		"truncated":      whole[:len(whole)/2],
		"truncated gzip": compressed.Bytes()[:compressed.Len()/2],
	} {
		t.Run(name, func(t *testing.T) {
			path := h.write("bad.tar", content, 0o644)
			wantRefusal(t, h.try("image", "load", "-q", "-i", path), []int{1}, path)
			wantRefusal(t, h.try("image", "import", "-q", path, "bad:1"), []int{1}, path)
		})
	}
	if now := h.patchbay("image", "list", "--format", "json"); now != images {
		t.Errorf("images: got\n%s\nwant those of before\n%s", now, images)
	}

	outside := filepath.Join(h.dir, "outside")
	if err := os.Mkdir(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	file := func(w *tar.Writer, name string) {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 4})
		w.Write([]byte("evil"))
	}
	for name, build := range map[string]func(w *tar.Writer){
		"dots": func(w *tar.Writer) { file(w, strings.Repeat("../", 12)+outside+"/escaped") },
		"absolute link": func(w *tar.Writer) {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "way", Linkname: outside, Mode: 0o777})
			file(w, "way/escaped")
		},
		"link with dots": func(w *tar.Writer) {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "way", Linkname: strings.Repeat("../", 12) + outside, Mode: 0o777})
			file(w, "way/escaped")
		},
		"hard link": func(w *tar.Writer) {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "stolen", Linkname: strings.Repeat("../", 12) + h.root + "/patchbay.db"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := h.archive("evil.tar", "evil:1", nil, layer(t, build))
			r := h.try("image", "load", "-q", "-i", path)
			if r.code != 0 { // refused, or kept inside of the layer
				wantRefusal(t, r, []int{1}, path)
			} else if name == "hard link" {
				if got := h.try("run", "--rm", "--network", "none", "evil:1", "test", "-s", "/stolen"); got.code == 0 {
					t.Errorf("the layer got hold of a file of the host: %s", got)
				}
			}
			if left, _ := os.ReadDir(outside); len(left) > 0 {
				t.Errorf("a layer wrote %v outside", left)
			}
		})
	}
}

// With a full disk, writes are refused in words; reading and traffic go on, and
// with space again all is as before.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := os.Mkdir(h.root, 0o700); err != nil {
		t.Fatal(err)
	}
	h.must(h.command(h.ns, "mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", h.root))
	h.before["mount"] = h.snapshot()["mount"] // the end of the host unmounts it
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay(append([]string{"run", "-d", "--name", "server", "--network", "web", "box"}, echoCommand...)...)
	connection := openStream(t, h.ns, h.attachment("server", "web").IPv4Address.Addr())
	archive := h.archive("app.tar", "app:1", nil)

	filler := filepath.Join(h.root, "filler")
	h.command(h.ns, "dd", "if=/dev/zero", "of="+filler, "bs=4k") // ends when nothing fits any more
	wantRefusal(t, h.try("image", "load", "-q", "-i", archive), []int{1}, "no space left")
	// Where configuration still fits into a free page it may be kept; then it
	// is kept truly. Refused, it says why.
	if r := h.try("network", "create", "late"); r.code != 0 {
		wantRefusal(t, r, []int{1}, "no space left")
	}
	h.patchbay("list")
	h.patchbay("network", "inspect", "web")
	h.patchbay("image", "list")
	connection.alive(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.patchbay("image", "load", "-i", archive)
	h.patchbay("network", "create", "after")
	h.patchbay("run", "--rm", "--network", "after", "app:1", "true")
}
