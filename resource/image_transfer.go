package resource

// TransferProgress is one step of a transfer of an image.
type TransferProgress struct {
	ID      string       `json:"id,omitempty"` // digest of a blob, or empty
	Step    TransferStep `json:"step"`
	Current int64        `json:"current"` // bytes
	Total   int64        `json:"total"`   // 0: unknown
}

// TransferStep says what is being done to a blob.
type TransferStep string

// The steps of a transfer.
const (
	TransferResolve  TransferStep = "resolve"
	TransferDownload TransferStep = "download"
	TransferPresent  TransferStep = "present" // nothing to transfer
	TransferUnpack   TransferStep = "unpack"
	TransferUpload   TransferStep = "upload"
	TransferDone     TransferStep = "done"
)

// ArchiveFormat is the form of an image archive.
type ArchiveFormat string

// The archive formats. Both are tar archives.
const (
	ArchiveOCI    ArchiveFormat = "oci"    // OCI image layout (image-layout.md)
	ArchiveDocker ArchiveFormat = "docker" // what "docker save" writes
)

// Compression is the compression of an archive.
type Compression string

// The compressions of archives and layers.
const (
	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"
	CompressionZstd Compression = "zstd"
)

// RegistryLogin is a registry that credentials are stored for. The secret
// itself is never shown.
type RegistryLogin struct {
	Registry string `json:"registry"`
	Username string `json:"username"`
}

// ImageDeletion is what the deletion of an image did.
type ImageDeletion struct {
	Untagged []string `json:"untagged,omitempty"` // references
	Deleted  []string `json:"deleted,omitempty"`  // digests
}

// ImagePrune is what a prune of images did.
type ImagePrune struct {
	Deleted        []string `json:"deleted,omitempty"` // digests
	ReclaimedBytes int64    `json:"reclaimedBytes"`
}
