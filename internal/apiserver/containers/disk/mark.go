package disk

import (
	"os"
	"path/filepath"
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
