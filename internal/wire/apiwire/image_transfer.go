package apiwire

import (
	"fmt"

	"github.com/containerd/errdefs"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/resource"
)

// TransferProgressToProto converts a step of a transfer.
func TransferProgressToProto(p resource.TransferProgress) *apiserverv1.Progress {
	return &apiserverv1.Progress{Id: p.ID, Step: string(p.Step), Current: p.Current, Total: p.Total}
}

// TransferProgressFromProto converts a step of a transfer.
func TransferProgressFromProto(p *apiserverv1.Progress) resource.TransferProgress {
	return resource.TransferProgress{
		ID: p.GetId(), Step: resource.TransferStep(p.GetStep()), Current: p.GetCurrent(), Total: p.GetTotal(),
	}
}

// ArchiveFormatToProto converts a format; the empty one is OCI.
func ArchiveFormatToProto(f resource.ArchiveFormat) (apiserverv1.ArchiveFormat, error) {
	switch f {
	case "", resource.ArchiveOCI:
		return apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_OCI, nil
	case resource.ArchiveDocker:
		return apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_DOCKER, nil
	}
	return 0, fmt.Errorf("archive format %q: want %q or %q: %w",
		f, resource.ArchiveOCI, resource.ArchiveDocker, errdefs.ErrInvalidArgument)
}

// ArchiveFormatFromProto converts a format; the unspecified one is OCI.
func ArchiveFormatFromProto(f apiserverv1.ArchiveFormat) (resource.ArchiveFormat, error) {
	switch f {
	case apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_UNSPECIFIED, apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_OCI:
		return resource.ArchiveOCI, nil
	case apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_DOCKER:
		return resource.ArchiveDocker, nil
	}
	return "", fmt.Errorf("archive format %d: want %q or %q: %w",
		f, resource.ArchiveOCI, resource.ArchiveDocker, errdefs.ErrInvalidArgument)
}

// CompressionToProto converts a compression; the empty one is none.
func CompressionToProto(c resource.Compression) (apiserverv1.Compression, error) {
	switch c {
	case "", resource.CompressionNone:
		return apiserverv1.Compression_COMPRESSION_NONE, nil
	case resource.CompressionGzip:
		return apiserverv1.Compression_COMPRESSION_GZIP, nil
	case resource.CompressionZstd:
		return apiserverv1.Compression_COMPRESSION_ZSTD, nil
	}
	return 0, compressionError(string(c))
}

// CompressionFromProto converts a compression; the unspecified one is none.
func CompressionFromProto(c apiserverv1.Compression) (resource.Compression, error) {
	switch c {
	case apiserverv1.Compression_COMPRESSION_UNSPECIFIED, apiserverv1.Compression_COMPRESSION_NONE:
		return resource.CompressionNone, nil
	case apiserverv1.Compression_COMPRESSION_GZIP:
		return resource.CompressionGzip, nil
	case apiserverv1.Compression_COMPRESSION_ZSTD:
		return resource.CompressionZstd, nil
	}
	return "", compressionError(c.String())
}

func compressionError(got string) error {
	return fmt.Errorf("compression %q: want %q, %q or %q: %w",
		got, resource.CompressionNone, resource.CompressionGzip, resource.CompressionZstd, errdefs.ErrInvalidArgument)
}
