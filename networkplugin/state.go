package networkplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// stateFiles is the directory in which a plugin process keeps what the next one
// has to know. It is below the run root: a reboot voids it, so nothing waits
// for a disk.
type stateFiles string

const entrySuffix = ".json"

func (s stateFiles) configuration() string { return filepath.Join(string(s), "configuration.json") }
func (s stateFiles) leases() string        { return filepath.Join(string(s), "leases") }

// entry is the file of a key, whose characters a file name may not have are
// escaped.
func (s stateFiles) entry(key string) string {
	return filepath.Join(s.leases(), url.PathEscape(key)+entrySuffix)
}

// load returns the entries of all keys.
func (s stateFiles) load() ([]*entry, error) {
	if err := os.MkdirAll(s.leases(), 0o700); err != nil {
		return nil, stateError("leases", err)
	}
	files, err := os.ReadDir(s.leases())
	if err != nil {
		return nil, stateError("leases", err)
	}
	var out []*entry
	for _, f := range files {
		path := filepath.Join(s.leases(), f.Name())
		if !strings.HasSuffix(f.Name(), entrySuffix) { // of a writer that died
			if err := os.Remove(path); err != nil {
				return nil, stateError("leases", err)
			}
			continue
		}
		e := new(entry)
		if err := readJSON(path, e); err != nil {
			return nil, err
		}
		if s.entry(e.Key) != path {
			return nil, fmt.Errorf("%s: holds key %q: %w", path, e.Key, errdefs.ErrDataLoss)
		}
		out = append(out, e)
	}
	return out, nil
}

func (s stateFiles) write(e *entry) error {
	return stateError("lease "+e.Key, writeJSON(s.entry(e.Key), e))
}

func (s stateFiles) remove(key string) error {
	return stateError("lease "+key, removeFile(s.entry(key)))
}

// stored is the file of the network itself.
type stored struct {
	Configuration Configuration
	// Realization is nil until the network was started once.
	Realization *Realization
}

// loadConfiguration returns nil where there is none.
func (s stateFiles) loadConfiguration() (*stored, error) {
	c := new(stored)
	err := readJSON(s.configuration(), c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return c, err
}

func (s stateFiles) writeConfiguration(c *stored) error {
	return stateError("network configuration", writeJSON(s.configuration(), c))
}

func (s stateFiles) removeConfiguration() error {
	return stateError("network configuration", removeFile(s.configuration()))
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o600)
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// stateError gives a failure of the file system a kind.
func stateError(what string, err error) error {
	if err == nil {
		return nil
	}
	var kind error = errdefs.ErrInternal
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = errdefs.ErrResourceExhausted
	case errors.Is(err, syscall.EROFS):
		kind = errdefs.ErrFailedPrecondition
	}
	return fmt.Errorf("%s: refused, it cannot be written down: %w: %w", what, kind, err)
}
