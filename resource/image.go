package resource

// ImageConfiguration is what an image's manifest and configuration say.
type ImageConfiguration struct {
	Digest      string                `json:"digest"`                // of the manifest of this platform
	IndexDigest string                `json:"indexDigest,omitempty"` // of the index it came from
	Platform    string                `json:"platform"`              // "linux/amd64"
	MediaType   string                `json:"mediaType"`
	DiffIDs     []string              `json:"diffIds"` // lowest layer first
	Run         ImageRunConfiguration `json:"run"`
}

// ImageRunConfiguration is the "config" object of an image (OCI image spec,
// config.md).
type ImageRunConfiguration struct {
	User             string            `json:"user,omitempty"`
	ExposedPorts     []string          `json:"exposedPorts,omitempty"`
	Env              []string          `json:"env,omitempty"`
	Entrypoint       []string          `json:"entrypoint,omitempty"`
	Cmd              []string          `json:"cmd,omitempty"`
	Volumes          []string          `json:"volumes,omitempty"`
	WorkingDirectory string            `json:"workingDirectory,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	StopSignal       string            `json:"stopSignal,omitempty"`
}

// ImageStatus is what the store knows of an image.
type ImageStatus struct {
	References    []string `json:"references,omitempty"`
	SizeBytes     int64    `json:"sizeBytes"` // of the blobs
	UnpackedBytes int64    `json:"unpackedBytes"`
	Containers    []string `json:"containers,omitempty"` // names of those made from it
}
