package blueprint

import (
	"path/filepath"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Sandbox returns all that a container's sandbox ever needs but its attachments. What a container
// that is removed at its end writes need not outlive the host: it does not
// either.
func Sandbox(roots layout.Roots, m resource.Metadata, c resource.ContainerConfiguration, layers []string) *sandboxv1.BootstrapRequest {
	directory := roots.Container(m.ID)
	return &sandboxv1.BootstrapRequest{
		Id:       m.ID,
		Name:     m.Name,
		Hostname: c.Hostname,
		Process:  wire.ProcessToProto(c.Process),
		RootFilesystem: &sandboxv1.RootFilesystem{
			LowerDirectories: layers,
			UpperDirectory:   filepath.Join(directory, disk.UpperDirectory),
			WorkDirectory:    filepath.Join(directory, disk.WorkDirectory),
			ReadOnly:         c.ReadOnly,
			Discardable:      c.AutoRemove,
		},
		Mounts:           wire.MountsToProto(disk.HostMounts(roots, m.ID, c.Mounts)),
		Resources:        wire.ResourcesToProto(c.Resources),
		CapabilitiesAdd:  c.CapabilitiesAdd,
		CapabilitiesDrop: c.CapabilitiesDrop,
		Init:             c.Init,
		LogPath:          roots.ContainerLog(m.ID),
		LogLimits:        wire.LogLimitsToProto(c.Log),
		Dns:              wire.DNSToProto(c.DNS),
		ExtraHosts:       wire.ExtraHostsToProto(c.ExtraHosts),
		Ports:            wire.PublishedPortsToProto(c.Ports),
	}
}
