package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"patchbay.dev/patchbay/internal/layout"
)

// Left is what an earlier patchbayd has left: ids of containers, and names of helpers on standby.
type Left struct {
	Sandboxes  []string // those that ran
	Standby    []string
	Containers []string // those that have a directory
	Newcomers  []string // those that nobody has heard of
}

// Look returns what is left.
func Look(roots layout.Roots) (left Left, err error) {
	for _, d := range []struct {
		path, of string
		names    *[]string
	}{
		{roots.Sandboxes(), "running containers", &left.Sandboxes},
		{roots.Standby(), "runtime helpers on standby", &left.Standby},
		{filepath.Dir(roots.Container("x")), "containers", &left.Containers},
		{roots.Newcomers(), "new containers", &left.Newcomers},
	} {
		if *d.names, err = names(d.path); err != nil {
			return left, fmt.Errorf("look for %s: %w", d.of, err)
		}
	}
	return left, nil
}

// names are what is in a directory; nothing if it is not there.
func names(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, entry := range entries {
		out[i] = entry.Name()
	}
	return out, nil
}

// RemoveStray removes the files of a container that there is not, but for those of its sandbox, or
// logs why it cannot.
func RemoveStray(roots layout.Roots, id string, log *slog.Logger) {
	if err := errors.Join(os.RemoveAll(roots.Container(id)), UnmarkNewcomer(roots, id)); err != nil {
		log.Error("cannot remove the files of a container that is not there", "container", id, "error", err)
	}
}
