package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/progress"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

// chunk is how much of an archive goes into one message.
const chunk = 256 << 10

// openArchive opens an archive to read; "-" is standard input.
func openArchive(f *frame.Frame, path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		if terminal.Is(f.Stdin) {
			return nil, 0, frame.NewUsageError(errors.New("standard input is a terminal, want an archive: name a file, or pipe one in"))
		}
		return io.NopCloser(f.Stdin), 0, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// packDirectory returns the archive of a directory, made while it is read.
func packDirectory(path string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := t.AddFS(os.DirFS(path))
		if err == nil {
			err = t.Close()
		}
		w.CloseWithError(err)
	}()
	return r
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// uploadProgress shows a transfer that has one part only where it is drawn: a
// single line would say nothing.
func uploadProgress(f *frame.Frame, quiet bool) *progress.Display {
	stderr, ok := f.Stderr.(*os.File)
	return f.Progress(quiet || !ok || !terminal.Is(stderr))
}

// upload sends an archive in messages of a chunk each. A server that gives up
// ends the sending; why, its answer tells.
type upload struct {
	name     string
	from     io.Reader
	size     int64 // 0: unknown
	progress *progress.Display
	send     func(data []byte) error
}

// blame names the archive in what the server says of it: the server saw only
// bytes.
func (u upload) blame(err error) error {
	name := u.name
	if name == "-" {
		name = "standard input"
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (u upload) run() error {
	defer u.progress.Close()
	buffer := make([]byte, chunk)
	var sent int64
	for {
		n, err := io.ReadFull(u.from, buffer)
		if n > 0 {
			if u.send(buffer[:n]) != nil {
				return nil
			}
			sent += int64(n)
			u.progress.Show(progress.Step{ID: u.name, Name: "send", Current: sent, Total: u.size})
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return u.blame(err)
		}
	}
}

// archiveFile is a file that appears under its name only when it is whole.
type archiveFile struct {
	*os.File
	path string
}

func createArchive(path string) (*archiveFile, error) {
	if isDirectory(path) {
		return nil, fmt.Errorf("archive %s: is a directory, want a file: %w", path, errdefs.ErrInvalidArgument)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".patchbay-*")
	if err != nil {
		return nil, fmt.Errorf("archive %s: directory %s: %w", path, filepath.Dir(path), errors.Unwrap(err))
	}
	return &archiveFile{File: file, path: path}, nil
}

// commit gives the file its name.
func (a *archiveFile) commit() error {
	err := errors.Join(a.Chmod(0o644), a.Close())
	if err == nil {
		err = os.Rename(a.Name(), a.path)
	}
	if err != nil {
		return fmt.Errorf("archive %s: %w", a.path, err)
	}
	return nil
}

// discard removes what was not committed.
func (a *archiveFile) discard() {
	a.Close()
	os.Remove(a.Name())
}
