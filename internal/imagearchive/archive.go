// Package imagearchive reads and writes archives of images: OCI layouts (OCI
// image spec, image-layout.md) in tar form, and what "docker save" writes.
package imagearchive

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

// maxDocument is the size of a JSON document that is read at most.
const maxDocument = 16 << 20

// maxEntries is more than any image archive has, and less than most root file
// systems.
const maxEntries = 20000

// Archive is an image archive whose files have been spooled, so that they can
// be read in any order. Their names are never names of files of ours.
type Archive struct {
	files map[string]*imagestore.Temporary
	links map[string]string
}

// Read spools an archive, plain or compressed, in a store. The caller discards
// it. ErrInvalidArgument if it cannot be read.
func Read(ctx context.Context, store *imagestore.Store, r io.Reader) (*Archive, error) {
	plain, _, err := imagestore.Decompress(r)
	if err != nil {
		return nil, archiveError("", err)
	}
	defer plain.Close()
	a := &Archive{files: map[string]*imagestore.Temporary{}, links: map[string]string{}}
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
			err = a.spoolEntry(ctx, store, header, entries)
		}
		if err != nil {
			return nil, errors.Join(archiveError(last, err), a.Discard())
		}
	}
}

func (a *Archive) spoolEntry(ctx context.Context, store *imagestore.Store, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeReg:
		file, err := store.Spool(ctx, content)
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
func (a *Archive) file(name string) (*imagestore.Temporary, error) {
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
func (a *Archive) read(name string) ([]byte, error) {
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
func (a *Archive) readJSON(name string, into any) error {
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
func (a *Archive) blob(d digest.Digest) (*imagestore.Temporary, error) {
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

// Discard removes what was spooled and not committed.
func (a *Archive) Discard() error {
	var errs []error
	for _, f := range a.files {
		errs = append(errs, f.Discard())
	}
	return errors.Join(errs...)
}

// archiveError says that an archive cannot be read, and where.
func archiveError(entry string, err error) error {
	explained := errors.Is(err, errdefs.ErrInvalidArgument)
	err = imagestore.ArchiveError("", "", err)
	switch {
	case entry != "":
		return fmt.Errorf("archive: at entry %q: %w", entry, err)
	case errors.Is(err, errdefs.ErrInvalidArgument) && !explained:
		return fmt.Errorf("archive: want a tar archive, plain or compressed with gzip or zstd: %w", err)
	}
	return fmt.Errorf("archive: %w", err)
}
