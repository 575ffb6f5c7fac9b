package imagestore

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"patchbay.dev/patchbay/resource"
)

var magics = []struct {
	magic       string
	compression resource.Compression
}{
	{"\x1f\x8b", resource.CompressionGzip},         // RFC 1952 section 2.3.1
	{"\x28\xb5\x2f\xfd", resource.CompressionZstd}, // RFC 8878 section 3.1.1
	{"BZh", "bzip2"},
	{"\xfd7zXZ\x00", "xz"},
}

// Decompress returns the plain content of r, whose compression it finds out
// from the first bytes: gzip, zstd or none.
func Decompress(r io.Reader) (io.ReadCloser, resource.Compression, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	start, err := buffered.Peek(6)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	compression := resource.CompressionNone
	for _, m := range magics {
		if bytes.HasPrefix(start, []byte(m.magic)) {
			compression = m.compression
		}
	}
	switch compression {
	case resource.CompressionNone:
		return io.NopCloser(buffered), compression, nil
	case resource.CompressionGzip:
		plain, err := gzip.NewReader(buffered)
		return plain, compression, err
	case resource.CompressionZstd:
		plain, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, "", err
		}
		return plain.IOReadCloser(), compression, nil
	}
	return nil, "", fmt.Errorf("is compressed with %s: want a tar archive that is plain or compressed with gzip or zstd: %w",
		compression, errdefs.ErrInvalidArgument)
}

// Compress returns a writer that compresses to w. Its Close ends the
// compressed stream and leaves w open.
func Compress(w io.Writer, c resource.Compression) (io.WriteCloser, error) {
	switch c {
	case "", resource.CompressionNone:
		return plainWriter{w}, nil
	case resource.CompressionGzip:
		return gzip.NewWriter(w), nil
	case resource.CompressionZstd:
		return zstd.NewWriter(w)
	}
	return nil, fmt.Errorf("compression %q: want %q, %q or %q: %w",
		c, resource.CompressionNone, resource.CompressionGzip, resource.CompressionZstd, errdefs.ErrInvalidArgument)
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }
