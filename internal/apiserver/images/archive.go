package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/internal/imagestore"
)

// maxEntries is more than any image archive has, and less than most root file
// systems.
const maxEntries = 20000

// imageArchive is an image archive whose files have been spooled, so that they
// can be read in any order. Their names are never names of files of ours.
type imageArchive struct {
	files map[string]*imagestore.Temporary
	links map[string]string
}

// readArchive spools an archive, plain or compressed. The caller discards it.
func (s *Service) readArchive(ctx context.Context, r io.Reader) (*imageArchive, error) {
	plain, _, err := imagestore.Decompress(r)
	if err != nil {
		return nil, archiveError("", err)
	}
	defer plain.Close()
	a := &imageArchive{files: map[string]*imagestore.Temporary{}, links: map[string]string{}}
	entries := tar.NewReader(plain)
	last := ""
	for n := 0; ; n++ {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err == nil && n == maxEntries {
			err = fmt.Errorf("has more than %d entries; if it is a root file system, use \"patchbay image import\": %w",
				maxEntries, errdefs.ErrInvalidArgument)
		}
		if err == nil {
			last = header.Name
			err = s.spoolEntry(ctx, a, header, entries)
		}
		if err != nil {
			return nil, errors.Join(archiveError(last, err), a.discard())
		}
	}
}

func (s *Service) spoolEntry(ctx context.Context, a *imageArchive, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeReg:
		file, err := s.store.Spool(ctx, content)
		if err != nil {
			return err
		}
		if old := a.files[name]; old != nil {
			return errors.Join(old.Discard(), file.Discard(), fmt.Errorf("is there twice: %w", errdefs.ErrInvalidArgument))
		}
		a.files[name] = file
	case tar.TypeSymlink: // docker's archives name a layer that is there twice by a link
		a.links[name] = path.Join(path.Dir(name), header.Linkname)
	case tar.TypeLink:
		a.links[name] = path.Clean(header.Linkname)
	}
	return nil
}

// file returns an entry, following links.
func (a *imageArchive) file(name string) (*imagestore.Temporary, error) {
	at := path.Clean(name)
	for range 10 {
		if f, ok := a.files[at]; ok {
			return f, nil
		}
		to, ok := a.links[at]
		if !ok {
			break
		}
		at = to
	}
	return nil, fmt.Errorf("archive: has no entry %q: %w", name, errdefs.ErrInvalidArgument)
}

// read returns the content of a small entry.
func (a *imageArchive) read(name string) ([]byte, error) {
	f, err := a.file(name)
	if err != nil {
		return nil, err
	}
	if f.Size > maxDocument {
		return nil, fmt.Errorf("archive: entry %q: has %d bytes: want at most %d: %w", name, f.Size, maxDocument, errdefs.ErrInvalidArgument)
	}
	return os.ReadFile(f.Path)
}

// readJSON parses a small entry.
func (a *imageArchive) readJSON(name string, into any) error {
	content, err := a.read(name)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(into); err != nil {
		return fmt.Errorf("archive: entry %q: %w: %w", name, err, errdefs.ErrInvalidArgument)
	}
	return nil
}

// blob returns a blob of an OCI layout after checking that it is what its name says.
func (a *imageArchive) blob(d digest.Digest) (*imagestore.Temporary, error) {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("archive: digest %q: want a sha256 digest: %w", d, errdefs.ErrInvalidArgument)
	}
	name := blobName(d)
	f, err := a.file(name)
	if err != nil {
		return nil, err
	}
	if f.Digest != d {
		return nil, fmt.Errorf("archive: entry %q: its content has the digest %s: %w", name, f.Digest, errdefs.ErrDataLoss)
	}
	return f, nil
}

func blobName(d digest.Digest) string {
	return path.Join("blobs", d.Algorithm().String(), d.Encoded())
}

// discard removes what was spooled and not committed.
func (a *imageArchive) discard() error {
	var errs []error
	for _, f := range a.files {
		errs = append(errs, f.Discard())
	}
	return errors.Join(errs...)
}

// archiveError says that an archive cannot be read, and where.
func archiveError(entry string, err error) error {
	err = imagestore.ArchiveError("", "", err)
	if entry == "" {
		return fmt.Errorf("archive: %w", err)
	}
	return fmt.Errorf("archive: at entry %q: %w", entry, err)
}
