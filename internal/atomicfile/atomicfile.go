// Package atomicfile replaces files whole: a reader sees the old content or the
// new, never a part, whenever the writer dies.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
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

func write(path string, data []byte, mode fs.FileMode, sync bool) error {
	made, err := createTemp(path, mode)
	if err != nil {
		return err
	}
	if err := made.fill(data, mode, sync); err != nil {
		return errors.Join(&fs.PathError{Op: "write", Path: made.path, Err: err}, os.Remove(made.path))
	}
	if err := os.Rename(made.path, path); err != nil {
		return errors.Join(err, os.Remove(made.path))
	}
	return nil
}

// temp is a new file that is written to by system calls of ours: an os.File asks for five
// more, to find out whether it can be waited for.
type temp struct {
	path string
	fd   int
}

// createTemp makes one beside path, with a name that nothing has.
func createTemp(path string, mode fs.FileMode) (temp, error) {
	const attempts = 10000 // as of os.CreateTemp
	directory, base := filepath.Split(path)
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%s.%d.tmp", directory, base, rand.Uint32())
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EEXIST) && n < attempts {
			continue
		}
		if err != nil {
			return temp{}, &fs.PathError{Op: "create", Path: name, Err: err}
		}
		return temp{name, fd}, nil
	}
}

// fill writes the file and closes it. Its mode is set once more, without the umask.
func (t temp) fill(data []byte, mode fs.FileMode, sync bool) error {
	err := t.write(data)
	if err == nil {
		err = unix.Fchmod(t.fd, uint32(mode.Perm()))
	}
	if err == nil && sync {
		err = unix.Fsync(t.fd)
	}
	return errors.Join(err, unix.Close(t.fd))
}

func (t temp) write(data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(t.fd, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
}
