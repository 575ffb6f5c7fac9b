package imagestore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

// Unpacking is a layer that is to be unpacked.
type Unpacking struct {
	Blob digest.Digest
	// DiffID is the digest of the plain content (OCI image spec, config.md);
	// empty: whatever it is.
	DiffID digest.Digest
	// Parents are the chain ids of the layers below, lowest first.
	Parents []digest.Digest
	// Progress is told how many bytes of the blob were read. It may be nil.
	Progress func(current int64)
}

// Layer is an unpacked layer.
type Layer struct {
	DiffID, ChainID digest.Digest
	Size            int64 // bytes of its files
}

// chain returns the chain id of diffID on top of the parents.
func (u Unpacking) chain(diffID digest.Digest) digest.Digest {
	if len(u.Parents) == 0 {
		return diffID
	}
	return identity.ChainID([]digest.Digest{u.Parents[len(u.Parents)-1], diffID})
}

// Unpack makes a layer's directory out of its blob unless it is there. A name
// or a hard link that leaves the layer's root is refused, links are followed
// within it only. Content that cannot be unpacked is ErrInvalidArgument,
// content of another diff id ErrDataLoss. Nothing is left when it fails.
func (s *Store) Unpack(ctx context.Context, u Unpacking) (Layer, error) {
	if u.DiffID != "" {
		chain := u.chain(u.DiffID)
		unlock, err := s.locks.lock(ctx, "layer "+chain.String())
		if err != nil {
			return Layer{}, err
		}
		defer unlock()
		if size, ok := s.layerSize(chain); ok {
			return Layer{DiffID: u.DiffID, ChainID: chain, Size: size}, nil
		}
	}
	dir, err := os.MkdirTemp(s.path("tmp"), "unpack-")
	if err != nil {
		return Layer{}, localError(s.root, err)
	}
	defer os.RemoveAll(dir)
	layer, err := s.unpackInto(ctx, dir, u)
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", u.Blob, err)
	}
	target := s.path("layers", layer.ChainID.Encoded())
	if size, ok := s.layerSize(layer.ChainID); ok { // of an import, whose diff id was not known before
		layer.Size = size
		return layer, nil
	}
	if err := os.RemoveAll(target); err != nil {
		return Layer{}, localError(s.root, err)
	}
	if err := os.Rename(dir, target); err != nil {
		return Layer{}, localError(s.root, err)
	}
	s.dirty.Store(true)
	return layer, nil
}

// unpackInto fills dir with the directory fs and the file size.
func (s *Store) unpackInto(ctx context.Context, dir string, u Unpacking) (Layer, error) {
	blob, err := os.Open(s.BlobPath(u.Blob))
	if err != nil {
		return Layer{}, err
	}
	defer blob.Close()
	var compressed io.Reader = blob
	if u.Progress != nil {
		compressed = io.TeeReader(blob, &countingWriter{0, u.Progress})
	}
	plain, _, err := Decompress(compressed)
	if err != nil {
		return Layer{}, ArchiveError(s.root, dir, err)
	}
	defer plain.Close()

	root := filepath.Join(dir, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return Layer{}, localError(s.root, err)
	}
	if err := os.Chmod(root, 0o755); err != nil { // whatever the umask is
		return Layer{}, err
	}
	digester := digest.SHA256.Digester()
	size, err := s.apply(ctx, root, io.TeeReader(plain, digester.Hash()), u)
	if err != nil {
		return Layer{}, err
	}
	layer := Layer{DiffID: digester.Digest(), Size: size}
	if u.DiffID != "" && layer.DiffID != u.DiffID {
		return Layer{}, fmt.Errorf("its content has the diff id %s, the image's configuration says %s: %w",
			layer.DiffID, u.DiffID, errdefs.ErrDataLoss)
	}
	layer.ChainID = u.chain(layer.DiffID)
	err = os.WriteFile(filepath.Join(dir, "size"), []byte(strconv.FormatInt(size, 10)+"\n"), 0o600)
	return layer, localError(s.root, err)
}

// apply unpacks the tar stream below root and reads it to its end.
func (s *Store) apply(ctx context.Context, root string, r io.Reader, u Unpacking) (int64, error) {
	parents := make([]string, len(u.Parents))
	for i, chain := range u.Parents {
		parents[len(parents)-1-i] = s.LayerPath(chain.String())
	}
	last := ""
	check := func(header *tar.Header) (bool, error) {
		last = header.Name
		return true, checkEntry(header)
	}
	convert := convertWhiteout
	if len(parents) == 0 {
		convert = dropWhiteout
	}
	size, err := archive.Apply(ctx, root, contextReader{ctx, r},
		archive.WithFilter(check), archive.WithParents(parents), archive.WithConvertWhiteout(convert))
	if err == nil {
		_, err = io.Copy(io.Discard, r) // padding after the archive's end counts for the diff id
	}
	notTar := last == "" && errors.Is(err, tar.ErrHeader)
	if err = ArchiveError(s.root, root, err); err != nil && last != "" && errdefs.IsInvalidArgument(err) {
		return 0, fmt.Errorf("entry %q: %w", last, err)
	}
	if notTar {
		return 0, fmt.Errorf("want a tar archive, plain or compressed with gzip or zstd: %w", err)
	}
	return size, err
}

// checkEntry refuses names and hard links that leave the root. The name has
// been cleaned.
func checkEntry(header *tar.Header) error {
	if escapes(header.Name) {
		return fmt.Errorf("its path leaves the root of the layer: %w", errdefs.ErrInvalidArgument)
	}
	if header.Typeflag == tar.TypeLink && escapes(header.Linkname) {
		return fmt.Errorf("is a link to %q, outside of the root of the layer: %w", header.Linkname, errdefs.ErrInvalidArgument)
	}
	return nil
}

func escapes(name string) bool {
	name = filepath.Clean(name)
	return name == ".." || strings.HasPrefix(name, "../")
}

const (
	whiteoutPrefix = ".wh."         // OCI image spec, layer.md, "whiteouts"
	opaqueWhiteout = ".wh..wh..opq" // layer.md, "opaque whiteout"
)

// convertWhiteout makes overlayfs's form of a whiteout. A whiteout speaks of
// the layers below, so it does not hide what its own layer brings.
func convertWhiteout(header *tar.Header, path string) (bool, error) {
	dir, base := filepath.Split(path)
	if hidden, ok := strings.CutPrefix(base, whiteoutPrefix); ok && base != opaqueWhiteout {
		if _, err := os.Lstat(filepath.Join(dir, hidden)); err == nil {
			return false, nil
		}
	}
	return archive.OverlayConvertWhiteout(header, path)
}

// dropWhiteout leaves out the whiteouts of a lowest layer: there is nothing
// to hide, and overlayfs would show them as devices.
func dropWhiteout(_ *tar.Header, path string) (bool, error) {
	return !strings.HasPrefix(filepath.Base(path), whiteoutPrefix), nil
}
