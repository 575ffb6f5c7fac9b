package disk

import (
	"errors"
	"os"
	"path/filepath"

	"patchbay.dev/patchbay/internal/layout"
)

// startedFile marks a container that has been started and is to be removed when it
// ends, so that it is too when the host goes down meanwhile.
const startedFile = "started"

// MarkStarted leaves in a container's directory that it has been started and is to
// be removed when it ends.
func MarkStarted(directory string) error {
	return os.WriteFile(filepath.Join(directory, startedFile), nil, 0o600)
}

// UnmarkStarted takes the mark away, of a start that has come to nothing.
func UnmarkStarted(directory string) { os.Remove(filepath.Join(directory, startedFile)) }

// IsMarkedStarted reports whether there is the mark.
func IsMarkedStarted(directory string) bool {
	_, err := os.Stat(filepath.Join(directory, startedFile))
	return err == nil
}

// MarkNewcomer leaves below the run root that nobody has heard of a container yet: it is to be
// removed unless it runs.
func MarkNewcomer(r layout.Roots, id string) error {
	return os.WriteFile(r.Newcomer(id), nil, 0o600)
}

// UnmarkNewcomer takes that away, before somebody hears of it.
func UnmarkNewcomer(r layout.Roots, id string) error {
	if err := os.Remove(r.Newcomer(id)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// IsNewcomer reports whether there is the mark.
func IsNewcomer(r layout.Roots, id string) bool {
	_, err := os.Stat(r.Newcomer(id))
	return err == nil
}
