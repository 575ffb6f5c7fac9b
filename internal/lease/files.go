package lease

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// files is the directory with a file for each key. It is below the run root: a
// reboot voids it, so nothing waits for a disk.
type files string

const suffix = ".json"

// path is the file of a key, whose characters a file name may not have are
// escaped.
func (f files) path(key string) string {
	return filepath.Join(string(f), url.PathEscape(key)+suffix)
}

// load returns the entries of all keys.
func (f files) load() ([]*entry, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("leases: %w: %w", errdefs.ErrInternal, err)
	}
	names, err := os.ReadDir(string(f))
	if err != nil {
		return nil, fmt.Errorf("leases: %w: %w", errdefs.ErrInternal, err)
	}
	var out []*entry
	var faults []error
	for _, name := range names {
		path := filepath.Join(string(f), name.Name())
		if path == f.strangers() {
			continue
		}
		if !strings.HasSuffix(path, suffix) { // of a writer that died
			faults = append(faults, atomicfile.Remove(path))
			continue
		}
		e := new(entry)
		if err := atomicfile.ReadJSON(path, e); err != nil {
			faults = append(faults, err)
			continue
		}
		if f.path(e.Key) != path {
			faults = append(faults, fmt.Errorf("%s: holds key %q: %w", path, e.Key, errdefs.ErrDataLoss))
			continue
		}
		out = append(out, e)
	}
	return out, errors.Join(faults...)
}

func (f files) write(e *entry) error    { return atomicfile.WriteJSON(f.path(e.Key), e, 0o600) }
func (f files) remove(key string) error { return atomicfile.Remove(f.path(key)) }

// strangers is the file of Table.strangers; no key has its name.
func (f files) strangers() string { return filepath.Join(string(f), "-strangers"+suffix) }
