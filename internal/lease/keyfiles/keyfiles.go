// Package keyfiles keeps a value for each key in a file of its own.
package keyfiles

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// Directory has the files, as JSON. It is below the run root: a reboot voids it, so nothing
// waits for a disk.
type Directory[V any] struct {
	path string
	key  func(*V) string
}

// In is the directory with a path; key returns that of a value, and is kept with it.
func In[V any](path string, key func(*V) string) Directory[V] { return Directory[V]{path, key} }

const suffix = ".json"

// file is that of a key, whose characters a file name may not have are escaped.
func (d Directory[V]) file(key string) string {
	return filepath.Join(d.path, url.PathEscape(key)+suffix)
}

// Beside is the path of a file that is none of a key's, as long as no key begins with a hyphen.
func (d Directory[V]) Beside(name string) string { return filepath.Join(d.path, "-"+name+suffix) }

// Load returns the values of all keys, but for the files that are beside them, and makes the directory. A file that holds
// another key than its own is errdefs.ErrDataLoss; what a writer that died has left is removed.
func (d Directory[V]) Load(beside ...string) ([]*V, error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.ErrInternal, err)
	}
	names, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.ErrInternal, err)
	}
	var out []*V
	var faults []error
	for _, name := range names {
		path := filepath.Join(d.path, name.Name())
		if slices.Contains(beside, path) {
			continue
		}
		if !strings.HasSuffix(path, suffix) {
			faults = append(faults, atomicfile.Remove(path))
			continue
		}
		v := new(V)
		if err := atomicfile.ReadJSON(path, v); err != nil {
			faults = append(faults, err)
			continue
		}
		if d.file(d.key(v)) != path {
			faults = append(faults, fmt.Errorf("%s: holds key %q: %w", path, d.key(v), errdefs.ErrDataLoss))
			continue
		}
		out = append(out, v)
	}
	return out, errors.Join(faults...)
}

// Write keeps a value, in place of the one that its key had.
func (d Directory[V]) Write(v *V) error { return atomicfile.WriteJSON(d.file(d.key(v)), v, 0o600) }

// Remove forgets the value of a key, if it has one.
func (d Directory[V]) Remove(key string) error { return atomicfile.Remove(d.file(key)) }
