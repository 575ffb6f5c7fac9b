// Package atomicfile replaces files whole: a reader sees the old content or the
// new, never a part, whenever the writer dies.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path. It does not wait for the disk: after a power
// cut the file may be old, new or empty, which is right below the run root.
func Write(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, false)
}

// WriteDurable replaces the file at path; after its return the new content
// outlives a power cut.
func WriteDurable(path string, data []byte, mode fs.FileMode) error {
	if err := write(path, data, mode, true); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func write(path string, data []byte, mode fs.FileMode, sync bool) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := fill(file, data, mode, sync); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func fill(file *os.File, data []byte, mode fs.FileMode, sync bool) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil && sync {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
