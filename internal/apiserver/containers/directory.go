package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/resource"
)

// What is in a container's directory beside its log.
const (
	upperDirectory  = "upper" // the writable layer
	workDirectory   = "work"  // of overlayfs
	volumeDirectory = "volumes"
	// startedFile marks a container that has been started and is to be removed
	// when it ends, so that it is too when the host goes down meanwhile.
	startedFile = "started"
)

// exitFile is written by the runtime helper below the run root before anybody
// learns that the main process has ended, and kept in the container's
// directory when nothing else is left of the run.
const exitFile = "exit.json"

// exit is the content of an exit file.
type exit struct {
	Code        int       `json:"code"`
	ExitedAt    time.Time `json:"exitedAt"`
	OutOfMemory bool      `json:"outOfMemory,omitempty"`
	Message     string    `json:"message,omitempty"`
	StartedAt   time.Time `json:"startedAt,omitzero"` // added by this service
}

// helperDied is the exit of a container whose helper took it along: 128 +
// SIGKILL.
func helperDied(words string) exit {
	e := exit{Code: 137, ExitedAt: time.Now().UTC(), Message: "its runtime helper died"}
	if words != "" {
		e.Message += ": " + words
	}
	return e
}

// readExit reads the exit file in a directory; nil if there is none that is
// whole.
func readExit(directory string) *exit {
	data, err := os.ReadFile(filepath.Join(directory, exitFile))
	if err != nil {
		return nil
	}
	var e exit
	if json.Unmarshal(data, &e) != nil {
		return nil
	}
	return &e
}

func writeExit(directory string, e exit) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(directory, exitFile), data, 0o600)
}

// readLast returns how a container's last run ended; nil if it never ran, or
// runs, or ran when the host went down.
func (s *Service) readLast(id string) *exit { return readExit(s.config.Roots.Container(id)) }

// makeDirectories makes what a container has on disk while it exists. What is
// there already is kept. Only root may look in: layers hold setuid programs.
func makeDirectories(directory string, mounts []resource.Mount) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	names := []string{upperDirectory, workDirectory}
	for i, m := range mounts {
		if m.Type == resource.MountVolume {
			names = append(names, volumeName(i))
		}
	}
	for _, name := range names {
		// The mode of the upper directory is that of the container's root.
		if err := os.MkdirAll(filepath.Join(directory, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// volumeName is the directory of the volume that is mount number i.
func volumeName(i int) string { return filepath.Join(volumeDirectory, fmt.Sprint(i)) }

// hostMounts returns the mounts of a container with the host paths of its
// volumes.
func hostMounts(roots layout.Roots, id string, mounts []resource.Mount) []resource.Mount {
	out := make([]resource.Mount, len(mounts))
	for i, m := range mounts {
		if m.Type == resource.MountVolume {
			m.Source = filepath.Join(roots.Container(id), volumeName(i))
		}
		out[i] = m
	}
	return out
}

// kindOfFile returns the kind of an error of the file system.
func kindOfFile(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return errdefs.ErrResourceExhausted
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission):
		return errdefs.ErrFailedPrecondition
	}
	return errdefs.ErrInternal
}
