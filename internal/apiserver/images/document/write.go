package document

import (
	"bytes"
	"encoding/json"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"patchbay.dev/patchbay/resource"
)

// LayerTypes are the OCI media types of layers by their compression.
var LayerTypes = map[resource.Compression]types.MediaType{
	resource.CompressionNone: types.OCIUncompressedLayer,
	resource.CompressionGzip: types.OCILayer,
	resource.CompressionZstd: types.OCILayerZStd,
}

// Layer is the one layer of an image that is to be described.
type Layer struct {
	Digest      digest.Digest // as it is stored
	Size        int64         // bytes as it is stored
	Compression resource.Compression
	DiffID      digest.Digest // unpacked
}

// Write writes the manifest and the configuration of an image that is one layer,
// made just now for the host's platform.
func Write(l Layer, run resource.ImageRunConfiguration) (manifest, config []byte, err error) {
	layerDigest, err := v1.NewHash(l.Digest.String())
	if err != nil {
		return nil, nil, err
	}
	diffID, err := v1.NewHash(l.DiffID.String())
	if err != nil {
		return nil, nil, err
	}
	now := v1.Time{Time: time.Now().UTC()}
	config, err = json.Marshal(v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           runtime.GOOS,
		Created:      now,
		Config:       ImageConfig(run),
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}},
		History:      []v1.History{{Created: now, CreatedBy: "patchbay image import"}},
	})
	if err != nil {
		return nil, nil, err
	}
	configDigest, _, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, nil, err
	}
	manifest, err = json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: configDigest},
		Layers:        []v1.Descriptor{{MediaType: LayerTypes[l.Compression], Size: l.Size, Digest: layerDigest}},
	})
	return manifest, config, err
}
