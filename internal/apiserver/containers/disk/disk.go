// Package disk lays out what a container has on disk beside its log, and reads
// and writes how its runs ended.
package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/resource"
)

// What is in a container's directory beside its log.
const (
	UpperDirectory  = "upper" // the writable layer
	WorkDirectory   = "work"  // of overlayfs
	volumeDirectory = "volumes"
)

// ExitFile is written by the runtime helper below the run root before anybody
// learns that the main process has ended, and kept in the container's
// directory when nothing else is left of the run.
const ExitFile = "exit.json"

// Exit is the content of an exit file.
type Exit struct {
	Code        int       `json:"code"`
	ExitedAt    time.Time `json:"exitedAt"`
	OutOfMemory bool      `json:"outOfMemory,omitempty"`
	Message     string    `json:"message,omitempty"`
	StartedAt   time.Time `json:"startedAt,omitzero"` // added by this service
}

// Told is what callers are told of it; of one that is not known, nil, nothing.
func (e *Exit) Told() resource.ContainerExit {
	if e == nil {
		return resource.ContainerExit{}
	}
	return resource.ContainerExit{Code: e.Code, Message: e.Message}
}

// HelperDied is the exit of a container whose helper took it along: 128 +
// SIGKILL.
func HelperDied(words string) Exit {
	e := Exit{Code: 137, ExitedAt: time.Now().UTC(), Message: "its runtime helper died"}
	if words != "" {
		e.Message += ": " + words
	}
	return e
}

// ReadExit reads the exit file in a directory; nil if there is none that is
// whole.
func ReadExit(directory string) *Exit {
	data, err := os.ReadFile(filepath.Join(directory, ExitFile))
	if err != nil {
		return nil
	}
	var e Exit
	if json.Unmarshal(data, &e) != nil {
		return nil
	}
	return &e
}

// Outcome is how a run has ended whose directory is still there, as its helper has written in that, with
// what an earlier patchbayd has added in the container's; nil: it has not.
func Outcome(sandbox, container string) *Exit {
	written := ReadExit(sandbox)
	if written == nil {
		return nil
	}
	if kept := ReadExit(container); kept != nil && kept.ExitedAt.Equal(written.ExitedAt) {
		return kept
	}
	return written
}

// WriteExit replaces the exit file in a directory.
func WriteExit(directory string, e Exit) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(directory, ExitFile), data, 0o600)
}

// Make makes what a container has on disk while it exists. What is
// there already is kept. Only root may look in: layers hold setuid programs.
func Make(directory string, mounts []resource.Mount) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	names := []string{UpperDirectory, WorkDirectory}
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

// HostMounts returns the mounts of a container with the host paths of its
// volumes.
func HostMounts(roots layout.Roots, id string, mounts []resource.Mount) []resource.Mount {
	out := make([]resource.Mount, len(mounts))
	for i, m := range mounts {
		if m.Type == resource.MountVolume {
			m.Source = filepath.Join(roots.Container(id), volumeName(i))
		}
		out[i] = m
	}
	return out
}

// Empty removes all that is in a container's directory, but for the mark that
// its removal is due: that goes with the directory, when the container is no
// longer recorded.
func Empty(directory string) error {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	faults := []error{err}
	for _, entry := range entries {
		if entry.Name() != startedFile {
			faults = append(faults, os.RemoveAll(filepath.Join(directory, entry.Name())))
		}
	}
	return errors.Join(faults...)
}

// Remove removes all that a container has on disk, and that its sandbox has.
func Remove(roots layout.Roots, id string) error {
	return errors.Join(os.RemoveAll(roots.Sandbox(id)), os.RemoveAll(roots.Container(id)), UnmarkNewcomer(roots, id))
}
