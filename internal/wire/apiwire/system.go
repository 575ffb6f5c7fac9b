package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// SystemInfoToProto converts a server's description of itself.
func SystemInfoToProto(i resource.SystemInfo) *apiserverv1.InfoResponse {
	return &apiserverv1.InfoResponse{
		Version:              i.Version,
		Revision:             i.Revision,
		StartedAt:            field.Timestamp(i.StartedAt),
		Pid:                  int64(i.PID),
		Root:                 i.Root,
		RunRoot:              i.RunRoot,
		PluginDirectories:    i.PluginDirectories,
		DefaultRuntime:       i.DefaultRuntime,
		DefaultNetworkPlugin: i.DefaultNetworkPlugin,
		Kernel:               i.Kernel,
		OperatingSystem:      i.OperatingSystem,
		Architecture:         i.Architecture,
		Processors:           uint32(i.Processors),
		MemoryBytes:          i.MemoryBytes,
		CgroupVersion:        i.CgroupVersion,
		ContainersRunning:    uint32(i.ContainersRunning),
		ContainersStopped:    uint32(i.ContainersStopped),
		Networks:             uint32(i.Networks),
		Images:               uint32(i.Images),
		Checks: field.Each(i.Checks, func(c resource.HostCheck) *apiserverv1.HostCheck {
			return &apiserverv1.HostCheck{Name: c.Name, Ok: c.OK, Detail: c.Detail}
		}),
	}
}

// KernelToProto converts the kernel of virtual machines.
func KernelToProto(k resource.Kernel) *apiserverv1.Kernel {
	return &apiserverv1.Kernel{
		Release: k.Release, Source: k.Source, Digest: k.Digest, Modules: k.Modules, Templates: field.Each(k.Templates, KernelTemplateToProto),
		Accelerator: string(k.Accelerator.Accelerator), AcceleratorReason: k.Accelerator.Reason,
	}
}

// KernelTemplateToProto converts a saved virtual machine.
func KernelTemplateToProto(t resource.KernelTemplate) *apiserverv1.KernelTemplate {
	return &apiserverv1.KernelTemplate{
		MemoryBytes: t.MemoryBytes, Processors: uint32(t.Processors), Accelerator: t.Accelerator,
		BuiltAt: field.Timestamp(t.BuiltAt), UsedAt: field.Timestamp(t.UsedAt), Uses: uint32(t.Uses), DiskBytes: t.DiskBytes,
	}
}
