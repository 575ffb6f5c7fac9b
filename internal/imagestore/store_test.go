package imagestore

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files lists what is in the store, as paths below its root.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(s.root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(s.root, path)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// archiveOf makes a tar archive whose entries belong to who runs the test.
func archiveOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, h := range headers {
		content := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(content)), ""
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.Uid == 0 {
			h.Uid, h.Gid = os.Getuid(), os.Getgid()
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Linkname: content}
}

func directory(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }

func store(t *testing.T, s *Store, content []byte) digest.Digest {
	t.Helper()
	d, err := s.WriteBlob(content)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// broken reads some bytes and then fails.
type broken struct {
	io.Reader
	err error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func TestFetchGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 1000)
	tests := map[string]struct {
		ranges bool // whether the source can begin elsewhere
		want   []int64
	}{
		"source serves parts":    {true, []int64{0, 4000}},
		"source serves all only": {false, []int64{0, 4000}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			var asked []int64
			cut := true
			download := Download{
				Digest: digest.FromBytes(content), Size: int64(len(content)),
				Open: func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
					asked = append(asked, offset)
					if cut {
						cut = false
						return io.NopCloser(broken{bytes.NewReader(content[:4000]), io.ErrUnexpectedEOF}), 0, nil
					}
					if !tt.ranges {
						offset = 0
					}
					return io.NopCloser(bytes.NewReader(content[offset:])), offset, nil
				},
			}
			if _, err := s.Fetch(t.Context(), download); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("first fetch: error = %v, want an unexpected end", err)
			}
			if fetched, err := s.Fetch(t.Context(), download); err != nil || !fetched {
				t.Fatalf("second fetch: %v, %v", fetched, err)
			}
			if fetched, err := s.Fetch(t.Context(), download); err != nil || fetched {
				t.Fatalf("third fetch: %v, %v, want nothing to do", fetched, err)
			}
			if diff := cmp.Diff(tt.want, asked); diff != "" {
				t.Errorf("offsets asked for (-want +got):\n%s", diff)
			}
			got, err := s.ReadBlob(download.Digest, 1<<20)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("content differs: %v", err)
			}
		})
	}
}

func TestFetchRefusesOtherContent(t *testing.T) {
	t.Parallel()
	tests := map[string]string{"same size": "abd", "too long": "abcd"}
	for name, served := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			_, err := s.Fetch(t.Context(), Download{
				Digest: digest.FromString("abc"), Size: 3,
				Open: func(context.Context, int64) (io.ReadCloser, int64, error) {
					return io.NopCloser(strings.NewReader(served)), 0, nil
				},
			})
			if !errdefs.IsDataLoss(err) {
				t.Errorf("error = %v, want data loss", err)
			}
			if left := files(t, s); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// What a power failure left of a partial blob must not make a pull fail.
func TestFetchStartsAnewWhenThePartIsWrong(t *testing.T) {
	t.Parallel()
	s := open(t)
	d := digest.FromString("abcdef")
	if err := os.WriteFile(s.path("partial", "sha256-"+d.Encoded()), []byte{0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Fetch(t.Context(), Download{
		Digest: d, Size: 6,
		Open: func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
			return io.NopCloser(strings.NewReader("abcdef"[offset:])), offset, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFetchOnceForManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	content := bytes.Repeat([]byte("x"), 1<<16)
	var mu sync.Mutex
	opened := 0
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			_, err := s.Fetch(t.Context(), Download{
				Digest: digest.FromBytes(content), Size: int64(len(content)),
				Open: func(context.Context, int64) (io.ReadCloser, int64, error) {
					mu.Lock()
					defer mu.Unlock()
					opened++
					return io.NopCloser(bytes.NewReader(content)), 0, nil
				},
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if opened != 1 {
		t.Errorf("fetched %d times, want once", opened)
	}
}

func TestLockEndsWithContext(t *testing.T) {
	t.Parallel()
	var l locks
	unlock, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want cancelled", err)
	}
	unlock()
	unlock, err = l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if len(l.held) != 0 {
		t.Errorf("locks remembered: %v", l.held)
	}
}

func TestUnpackCompressions(t *testing.T) {
	t.Parallel()
	plain := archiveOf(t, directory("etc/"), file("etc/a", "hello"))
	for _, c := range []resource.Compression{resource.CompressionNone, resource.CompressionGzip, resource.CompressionZstd} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			var buffer bytes.Buffer
			w, err := Compress(&buffer, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(plain); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			layer, err := s.Unpack(t.Context(), Unpacking{Blob: store(t, s, buffer.Bytes())})
			if err != nil {
				t.Fatal(err)
			}
			want := Layer{DiffID: digest.FromBytes(plain), ChainID: digest.FromBytes(plain), Size: 5}
			if diff := cmp.Diff(want, layer); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
			got, err := os.ReadFile(filepath.Join(s.LayerPath(layer.ChainID.String()), "etc/a"))
			if err != nil || string(got) != "hello" {
				t.Errorf("etc/a: %q, %v", got, err)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	good := archiveOf(t, file("a", strings.Repeat("a", 4096)))
	tests := map[string]struct {
		archive []byte
		diffID  digest.Digest
		kind    error
		text    string
	}{
		"path upwards":        {archive: archiveOf(t, file("a/../../x", "")), kind: errdefs.ErrInvalidArgument, text: `entry "../x": its path leaves the root of the layer`},
		"hard link upwards":   {archive: archiveOf(t, tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../x"}), kind: errdefs.ErrInvalidArgument, text: `entry "a": is a link to "../../x", outside of the root of the layer`},
		"hard link to naught": {archive: archiveOf(t, tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "x"}), kind: errdefs.ErrInvalidArgument, text: `entry "a": link x a: no such file or directory`},
		"below a file":        {archive: archiveOf(t, file("a", ""), file("a/b", "")), kind: errdefs.ErrInvalidArgument, text: `entry "a/b": `},
		"no archive":          {archive: bytes.Repeat([]byte("no archive"), 100), kind: errdefs.ErrInvalidArgument, text: "want a tar archive, plain or compressed with gzip or zstd: archive/tar: invalid tar header"},
		"cut short":           {archive: good[:2048], kind: errdefs.ErrInvalidArgument, text: `entry "a": unexpected EOF`},
		"cut gzip":            {archive: []byte("\x1f\x8b\x08\x00\x00"), kind: errdefs.ErrInvalidArgument, text: "unexpected EOF"},
		"xz":                  {archive: []byte("\xfd7zXZ\x00..."), kind: errdefs.ErrInvalidArgument, text: "is compressed with xz: want"},
		"other diff id":       {archive: good, diffID: digest.FromString("x"), kind: errdefs.ErrDataLoss, text: "its content has the diff id " + digest.FromBytes(good).String()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			blob := store(t, s, tt.archive)
			before := files(t, s)
			_, err := s.Unpack(t.Context(), Unpacking{Blob: blob, DiffID: tt.diffID})
			if !errors.Is(err, tt.kind) {
				t.Fatalf("error = %v, want %v", err, tt.kind)
			}
			if text := err.Error(); !strings.HasPrefix(text, "layer "+blob.String()+": "+tt.text) || strings.Contains(text, "\n") || strings.Contains(text, s.root) {
				t.Errorf("error text: %s\nwant: %s", text, tt.text)
			}
			if diff := cmp.Diff(before, files(t, s)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// A link may point anywhere, but nothing is written through it outside.
func TestUnpackStaysWithinItsRoot(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	s := open(t)
	layer, err := s.Unpack(t.Context(), Unpacking{Blob: store(t, s, archiveOf(t,
		tar.Header{Name: "absolute", Typeflag: tar.TypeSymlink, Linkname: outside},
		file("absolute/x", "1"),
		tar.Header{Name: "upwards", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("../", 20) + outside},
		file("upwards/y", "2"),
		file("/rooted", "3"),
		tar.Header{Name: "final", Typeflag: tar.TypeSymlink, Linkname: filepath.Join(outside, "z")},
		file("final", "4"),
	))})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside of the root: %v, %v", left, err)
	}
	root := s.LayerPath(layer.ChainID.String())
	for name, want := range map[string]string{outside + "/x": "1", outside + "/y": "2", "/rooted": "3", "/final": "4"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// A layer that names no parent directories takes their attributes from below.
func TestUnpackInheritsDirectories(t *testing.T) {
	t.Parallel()
	s := open(t)
	lower, err := s.Unpack(t.Context(), Unpacking{Blob: store(t, s, archiveOf(t,
		tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}))})
	if err != nil {
		t.Fatal(err)
	}
	upper, err := s.Unpack(t.Context(), Unpacking{
		Blob: store(t, s, archiveOf(t, file("tmp/x", ""))), Parents: []digest.Digest{lower.ChainID},
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.LayerPath(upper.ChainID.String()), "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	if want := os.ModeDir | os.ModeSticky | 0o777; info.Mode() != want {
		t.Errorf("mode of tmp = %v, want %v", info.Mode(), want)
	}
	if upper.ChainID == upper.DiffID {
		t.Error("the chain id of an upper layer does not depend on what is below")
	}
}

func TestTakeAwayAndSweep(t *testing.T) {
	t.Parallel()
	s := open(t)
	kept, lost := store(t, s, archiveOf(t, file("a", "kept"))), store(t, s, archiveOf(t, file("a", "lost")))
	var layers []Layer
	for _, b := range []digest.Digest{kept, lost} {
		l, err := s.Unpack(t.Context(), Unpacking{Blob: b})
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	if err := os.WriteFile(s.path("partial", "sha256-"+digest.FromString("p").Encoded()), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	trash, err := s.TakeAway(Keep{
		Blob:  func(d digest.Digest) bool { return d == kept },
		Layer: func(c digest.Digest) bool { return c == layers[0].ChainID },
	})
	if err != nil {
		t.Fatal(err)
	}
	size, _ := s.BlobSize(kept)
	want := []string{
		"blobs/sha256/" + kept.Encoded(),
		"layers/" + layers[0].ChainID.Encoded() + "/fs/a",
		"layers/" + layers[0].ChainID.Encoded() + "/size",
	}
	freed, err := trash.Remove()
	if wantFreed := size + 4 + 5; err != nil || freed != wantFreed {
		t.Errorf("freed %d bytes, %v; want %d", freed, err, wantFreed)
	}
	if diff := cmp.Diff(want, files(t, s)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for i := range 3 { // what a crash leaves
		if err := os.MkdirAll(s.path("tmp", fmt.Sprint(i), "fs"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.root); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(s.path("tmp")); err != nil || len(left) > 0 {
		t.Errorf("in tmp after a start: %v, %v", left, err)
	}
}

func TestLocalError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		kind error
		text string
	}{
		"full":      {&os.PathError{Op: "write", Path: "/r/tmp/1", Err: unix.ENOSPC}, errdefs.ErrResourceExhausted, `/r: no space left on device: free some space, for instance with "patchbay image prune": resource exhausted`},
		"quota":     {unix.EDQUOT, errdefs.ErrResourceExhausted, `/r: disk quota exceeded: free some space, for instance with "patchbay image prune": resource exhausted`},
		"read-only": {unix.EROFS, errdefs.ErrFailedPrecondition, "/r: read-only file system: failed precondition"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := localError("/r", tt.err)
			if !errors.Is(err, tt.kind) || err.Error() != tt.text {
				t.Errorf("error = %q, want %q", err, tt.text)
			}
		})
	}
}
