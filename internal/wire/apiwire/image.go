package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// ImageToProto converts an image.
func ImageToProto(i resource.Image) *apiserverv1.Image {
	return &apiserverv1.Image{
		Metadata: wire.MetadataToProto(i.Metadata),
		Configuration: &apiserverv1.ImageConfiguration{
			Digest:      i.Configuration.Digest,
			IndexDigest: i.Configuration.IndexDigest,
			Platform:    i.Configuration.Platform,
			MediaType:   i.Configuration.MediaType,
			DiffIds:     i.Configuration.DiffIDs,
			Run:         ImageRunConfigurationToProto(i.Configuration.Run),
		},
		Status: &apiserverv1.ImageStatus{
			References:    i.Status.References,
			SizeBytes:     i.Status.SizeBytes,
			UnpackedBytes: i.Status.UnpackedBytes,
			Containers:    i.Status.Containers,
		},
	}
}

// ImageFromProto converts an image.
func ImageFromProto(i *apiserverv1.Image) resource.Image {
	c, s := i.GetConfiguration(), i.GetStatus()
	return resource.Image{
		Metadata: wire.MetadataFromProto(i.GetMetadata()),
		Configuration: resource.ImageConfiguration{
			Digest:      c.GetDigest(),
			IndexDigest: c.GetIndexDigest(),
			Platform:    c.GetPlatform(),
			MediaType:   c.GetMediaType(),
			DiffIDs:     c.GetDiffIds(),
			Run:         ImageRunConfigurationFromProto(c.GetRun()),
		},
		Status: resource.ImageStatus{
			References:    s.GetReferences(),
			SizeBytes:     s.GetSizeBytes(),
			UnpackedBytes: s.GetUnpackedBytes(),
			Containers:    s.GetContainers(),
		},
	}
}

// ImageRunConfigurationToProto converts an image's "config" object.
func ImageRunConfigurationToProto(c resource.ImageRunConfiguration) *apiserverv1.ImageRunConfiguration {
	return &apiserverv1.ImageRunConfiguration{
		User:             c.User,
		ExposedPorts:     c.ExposedPorts,
		Env:              c.Env,
		Entrypoint:       c.Entrypoint,
		Cmd:              c.Cmd,
		Volumes:          c.Volumes,
		WorkingDirectory: c.WorkingDirectory,
		Labels:           c.Labels,
		StopSignal:       c.StopSignal,
	}
}

// ImageRunConfigurationFromProto converts an image's "config" object.
func ImageRunConfigurationFromProto(c *apiserverv1.ImageRunConfiguration) resource.ImageRunConfiguration {
	return resource.ImageRunConfiguration{
		User:             c.GetUser(),
		ExposedPorts:     c.GetExposedPorts(),
		Env:              c.GetEnv(),
		Entrypoint:       c.GetEntrypoint(),
		Cmd:              c.GetCmd(),
		Volumes:          c.GetVolumes(),
		WorkingDirectory: c.GetWorkingDirectory(),
		Labels:           c.GetLabels(),
		StopSignal:       c.GetStopSignal(),
	}
}
