package imagestore

import (
	"bytes"
	"context"
	_ "crypto/sha256" // digest algorithms of the OCI image spec
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/resource"
)

// BlobPath returns where a blob is, or would be.
func (s *Store) BlobPath(d digest.Digest) string {
	return s.path("blobs", d.Algorithm().String(), d.Encoded())
}

// BlobSize returns the size of a complete blob, and false if it is not there.
func (s *Store) BlobSize(d digest.Digest) (int64, bool) {
	if d.Validate() != nil {
		return 0, false
	}
	info, err := os.Stat(s.BlobPath(d))
	if err != nil {
		return 0, false
	}
	return info.Size(), true
}

// ReadBlob returns the content of a blob of at most limit bytes.
func (s *Store) ReadBlob(d digest.Digest, limit int64) ([]byte, error) {
	f, err := os.Open(s.BlobPath(d))
	if err != nil {
		return nil, fmt.Errorf("blob %s: is not in the store: %w", d, errdefs.ErrNotFound)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("blob %s: is larger than %d bytes: %w", d, limit, errdefs.ErrInvalidArgument)
	}
	return content, nil
}

// WriteBlob stores a small blob.
func (s *Store) WriteBlob(content []byte) (digest.Digest, error) {
	temporary, err := s.Spool(context.Background(), bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	return temporary.Digest, temporary.Commit()
}

// Temporary is content that has no place in the store yet.
type Temporary struct {
	Digest digest.Digest // SHA-256
	Size   int64
	Path   string
	store  *Store
}

// Spool copies all of r into a temporary file. Nothing is left when it fails.
func (s *Store) Spool(ctx context.Context, r io.Reader) (_ *Temporary, err error) {
	f, err := os.CreateTemp(s.path("tmp"), "spool-")
	if err != nil {
		return nil, localError(s.root, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	defer f.Close()
	digester := digest.SHA256.Digester()
	size, err := io.Copy(io.MultiWriter(f, digester.Hash()), contextReader{ctx, r})
	if err != nil {
		return nil, localError(s.root, err)
	}
	return &Temporary{Digest: digester.Digest(), Size: size, Path: f.Name(), store: s}, nil
}

// Compression returns how the content is compressed. ErrInvalidArgument if in a
// way that is not known.
func (t *Temporary) Compression() (resource.Compression, error) {
	f, err := os.Open(t.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	plain, compression, err := Decompress(f)
	if err != nil {
		return "", err
	}
	return compression, plain.Close()
}

// Commit gives the content its place among the blobs.
func (t *Temporary) Commit() error {
	if _, ok := t.store.BlobSize(t.Digest); ok {
		return t.Discard()
	}
	if err := syncFile(t.Path); err != nil {
		return localError(t.store.root, err)
	}
	return t.store.place(t.Path, t.Digest)
}

// Discard removes the content, if it was not committed or discarded before.
func (t *Temporary) Discard() error {
	if err := os.Remove(t.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// place renames a complete, verified and synced file to a blob.
func (s *Store) place(path string, d digest.Digest) error {
	target := s.BlobPath(d)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return localError(s.root, err)
	}
	if err := os.Rename(path, target); err != nil {
		return localError(s.root, err)
	}
	return localError(s.root, syncFile(filepath.Dir(target)))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Download is a blob that is to be fetched.
type Download struct {
	Digest digest.Digest
	Size   int64
	// Open returns the content from offset on, or from the beginning if the
	// source cannot begin elsewhere: start says which.
	Open func(ctx context.Context, offset int64) (body io.ReadCloser, start int64, err error)
	// Progress is told how many bytes are there. It may be nil.
	Progress func(current int64)
}

// Fetch downloads a blob unless it is there, and returns whether it did. What
// was received before a failure is kept and the next Fetch goes on from there.
// Several Fetches of one blob download it once.
func (s *Store) Fetch(ctx context.Context, d Download) (fetched bool, err error) {
	if err := d.Digest.Validate(); err != nil {
		return false, fmt.Errorf("blob %q: %w: %w", d.Digest, err, errdefs.ErrInvalidArgument)
	}
	if d.Progress == nil {
		d.Progress = func(int64) {}
	}
	unlock, err := s.locks.lock(ctx, d.Digest.String())
	if err != nil {
		return false, err
	}
	defer unlock()
	if _, ok := s.BlobSize(d.Digest); ok {
		return false, nil
	}
	path := s.path("partial", d.Digest.Algorithm().String()+"-"+d.Digest.Encoded())
	resumed, err := s.download(ctx, d, path)
	if resumed && errdefs.IsDataLoss(err) {
		// What was kept may be what a power failure left of it.
		_, err = s.download(ctx, d, path)
	}
	if err != nil {
		return false, err
	}
	return true, s.place(path, d.Digest)
}

// download brings the partial file at path to completion and verifies it. A
// full disk and content of the wrong digest leave no partial file.
func (s *Store) download(ctx context.Context, d Download, path string) (resumed bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, localError(s.root, err)
	}
	defer func() {
		err = errors.Join(localError(s.root, err), f.Close())
		if errdefs.IsResourceExhausted(err) || errdefs.IsDataLoss(err) {
			os.Remove(path)
		}
	}()
	verifier := d.Digest.Verifier()
	offset, err := io.Copy(verifier, f)
	if err != nil {
		return false, err
	}
	if offset > d.Size {
		return true, fmt.Errorf("blob %s: has more than %d bytes: %w", d.Digest, d.Size, errdefs.ErrDataLoss)
	}
	resumed = offset > 0
	if offset < d.Size {
		if verifier, err = d.receive(ctx, f, offset, verifier); err != nil {
			return resumed, err
		}
	}
	if !verifier.Verified() {
		return resumed, fmt.Errorf("blob %s: the content received has another digest: %w", d.Digest, errdefs.ErrDataLoss)
	}
	return resumed, f.Sync()
}

// receive appends to f what is missing after offset, and returns the verifier
// that has seen all of it.
func (d Download) receive(ctx context.Context, f *os.File, offset int64, verifier digest.Verifier) (digest.Verifier, error) {
	body, start, err := d.Open(ctx, offset)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	switch start {
	case offset:
	case 0:
		if err := f.Truncate(0); err != nil {
			return nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		offset, verifier = 0, d.Digest.Verifier()
	default:
		return nil, fmt.Errorf("blob %s: asked for byte %d on, got byte %d on: %w", d.Digest, offset, start, errdefs.ErrUnavailable)
	}
	counter := &countingWriter{offset, d.Progress}
	limited := io.LimitReader(contextReader{ctx, body}, d.Size-offset+1)
	n, err := io.Copy(io.MultiWriter(f, verifier, counter), limited)
	switch {
	case err != nil:
		return nil, err
	case offset+n > d.Size:
		return nil, fmt.Errorf("blob %s: has more than %d bytes: %w", d.Digest, d.Size, errdefs.ErrDataLoss)
	case offset+n < d.Size:
		return nil, fmt.Errorf("blob %s: ended after %d of %d bytes: %w", d.Digest, offset+n, d.Size, io.ErrUnexpectedEOF)
	}
	return verifier, nil
}

type countingWriter struct {
	n    int64
	tell func(int64)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	w.tell(w.n)
	return len(p), nil
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
