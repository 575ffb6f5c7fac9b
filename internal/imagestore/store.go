// Package imagestore keeps the content of images: blobs by digest, and layers
// unpacked into directories that overlayfs takes as lower directories.
//
// Below its root:
//
//	blobs/<algorithm>/<hex>   complete, verified blobs
//	partial/<algorithm>-<hex> blobs whose download was interrupted
//	layers/<hex>/fs           an unpacked layer, by the hex of its chain id
//	layers/<hex>/size         the bytes of its files
//	tmp/                      what is being made or removed
//
// Everything is made in tmp and renamed to its place when it is whole, so that
// a crash leaves only garbage in tmp, which Open removes. A layer is named by its
// chain id (OCI image spec, config.md) and not by its diff id, because the
// attributes of directories that a layer does not bring itself come from the
// layers below it.
//
// The store knows nothing of images and references: what is garbage is for its
// user to say (TakeAway).
package imagestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Store is a store of blobs and layers. It is safe for concurrent use within
// one process.
type Store struct {
	root  string
	locks locks

	syncing sync.Mutex // held while the disk is synced
	dirty   atomic.Bool
}

// Open makes what is missing of the store at root, an absolute path, and
// removes what a crash left half-made.
func Open(root string) (*Store, error) {
	s := &Store{root: root}
	for _, dir := range []string{s.path("blobs"), s.path("partial"), s.path("layers"), s.path("tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, localError(root, fmt.Errorf("image store: %w", err))
		}
	}
	// A read-only or failing disk must not keep images from being used.
	left, _ := os.ReadDir(s.path("tmp"))
	for _, e := range left {
		os.RemoveAll(s.path("tmp", e.Name()))
	}
	return s, nil
}

func (s *Store) path(elements ...string) string {
	return filepath.Join(append([]string{s.root}, elements...)...)
}

// Sync makes everything that was written so far survive a power failure. A
// record that names blobs or layers must be stored after it. It costs nothing
// if no layer was unpacked since the last time; blobs are synced one by one.
func (s *Store) Sync() error {
	s.syncing.Lock() // who finds nothing to do has waited for who does it
	defer s.syncing.Unlock()
	if !s.dirty.Swap(false) {
		return nil
	}
	if err := s.syncAll(); err != nil {
		s.dirty.Store(true)
		return localError(s.root, fmt.Errorf("sync %s: %w", s.root, err))
	}
	return nil
}

func (s *Store) syncAll() error {
	dir, err := os.Open(s.root)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// Keep says what is not garbage.
type Keep struct {
	// Blob is asked for complete and for partial blobs.
	Blob func(d digest.Digest) bool
	// Layer is asked for the chain ids of unpacked layers.
	Layer func(chain digest.Digest) bool
}

// Trash is what was taken away and waits for its removal.
type Trash struct {
	paths []string
	bytes int64
}

// TakeAway moves all that is not kept out of its place, which is quick. The
// caller prevents that Keep's answers change meanwhile.
func (s *Store) TakeAway(keep Keep) (*Trash, error) {
	trash := &Trash{}
	err := s.eachBlob(func(d digest.Digest, path string, size int64) error {
		if keep.Blob(d) {
			return nil
		}
		return s.discard(trash, path, size)
	})
	if err != nil {
		return trash, err
	}
	layers, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return trash, err
	}
	for _, e := range layers {
		chain := digest.NewDigestFromEncoded(digest.SHA256, e.Name())
		if keep.Layer(chain) {
			continue
		}
		size, _ := s.layerSize(chain)
		if err := s.discard(trash, s.path("layers", e.Name()), size); err != nil {
			return trash, err
		}
	}
	return trash, nil
}

// discard moves path into tmp under a name that is free.
func (s *Store) discard(trash *Trash, path string, size int64) error {
	dir, err := os.MkdirTemp(s.path("tmp"), "trash-")
	if err != nil {
		return localError(s.root, err)
	}
	trash.paths = append(trash.paths, dir)
	if err := os.Rename(path, filepath.Join(dir, "content")); err != nil {
		return localError(s.root, err)
	}
	trash.bytes += size
	return nil
}

// Remove removes the trash and returns how many bytes its files had.
func (t *Trash) Remove() (int64, error) {
	for _, path := range t.paths {
		if err := os.RemoveAll(path); err != nil {
			return 0, err
		}
	}
	return t.bytes, nil
}

// eachBlob calls f for every complete and partial blob.
func (s *Store) eachBlob(f func(d digest.Digest, path string, size int64) error) error {
	return filepath.WalkDir(s.root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // renamed to its place meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(s.root, path)
		if e.IsDir() {
			if rel == "." || rel == "partial" || rel == "blobs" || strings.HasPrefix(rel, "blobs/") {
				return nil
			}
			return filepath.SkipDir
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		dir, encoded := filepath.Split(rel)
		if dir == "partial/" {
			algorithm, encoded, _ := strings.Cut(encoded, "-")
			return f(digest.NewDigestFromEncoded(digest.Algorithm(algorithm), encoded), path, info.Size())
		}
		algorithm := digest.Algorithm(filepath.Base(dir))
		return f(digest.NewDigestFromEncoded(algorithm, encoded), path, info.Size())
	})
}

// LayerPath returns the directory of an unpacked layer, for overlayfs.
func (s *Store) LayerPath(chain string) string {
	return s.path("layers", digest.Digest(chain).Encoded(), "fs")
}

// layerSize returns the bytes of a layer's files and whether it is there.
func (s *Store) layerSize(chain digest.Digest) (int64, bool) {
	text, err := os.ReadFile(s.path("layers", chain.Encoded(), "size"))
	if err != nil {
		return 0, false
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return size, err == nil
}
