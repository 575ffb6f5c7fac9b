package wire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/resource"
)

// PluginToProto converts a plugin.
func PluginToProto(p resource.Plugin) *apiserverv1.Plugin {
	return &apiserverv1.Plugin{
		Name:           p.Name,
		Kind:           string(p.Kind),
		Abstract:       p.Abstract,
		Protocol:       uint32(p.Protocol),
		Directory:      p.Directory,
		DefaultVariant: p.DefaultVariant,
		Variants: each(p.Variants, func(v resource.PluginVariant) *apiserverv1.Variant {
			return &apiserverv1.Variant{Name: v.Name, Strategy: v.Strategy}
		}),
		Strategies: p.Strategies,
		Fault:      p.Fault,
		Shadowed:   p.Shadowed,
		Instances: each(p.Instances, func(i resource.PluginInstance) *apiserverv1.PluginInstance {
			return &apiserverv1.PluginInstance{Resource: i.Resource, Pid: int64(i.PID), State: i.State}
		}),
	}
}

// PluginsToProto converts a list of plugins.
func PluginsToProto(ps []resource.Plugin) []*apiserverv1.Plugin { return each(ps, PluginToProto) }

// PluginFromProto converts a plugin.
func PluginFromProto(p *apiserverv1.Plugin) resource.Plugin {
	return resource.Plugin{
		Name:           p.GetName(),
		Kind:           resource.PluginKind(p.GetKind()),
		Abstract:       p.GetAbstract(),
		Protocol:       int(p.GetProtocol()),
		Directory:      p.GetDirectory(),
		DefaultVariant: p.GetDefaultVariant(),
		Variants: each(p.GetVariants(), func(v *apiserverv1.Variant) resource.PluginVariant {
			return resource.PluginVariant{Name: v.GetName(), Strategy: v.GetStrategy()}
		}),
		Strategies: p.GetStrategies(),
		Fault:      p.GetFault(),
		Shadowed:   p.GetShadowed(),
		Instances: each(p.GetInstances(), func(i *apiserverv1.PluginInstance) resource.PluginInstance {
			return resource.PluginInstance{Resource: i.GetResource(), PID: int(i.GetPid()), State: i.GetState()}
		}),
	}
}

// SystemInfoToProto converts a server's description of itself.
func SystemInfoToProto(i resource.SystemInfo) *apiserverv1.InfoResponse {
	return &apiserverv1.InfoResponse{
		Version:              i.Version,
		Revision:             i.Revision,
		StartedAt:            timestamp(i.StartedAt),
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
		Checks: each(i.Checks, func(c resource.HostCheck) *apiserverv1.HostCheck {
			return &apiserverv1.HostCheck{Name: c.Name, Ok: c.OK, Detail: c.Detail}
		}),
	}
}

// SystemInfoFromProto converts a server's description of itself.
func SystemInfoFromProto(i *apiserverv1.InfoResponse) resource.SystemInfo {
	return resource.SystemInfo{
		Version:              i.GetVersion(),
		Revision:             i.GetRevision(),
		StartedAt:            instant(i.GetStartedAt()),
		PID:                  int(i.GetPid()),
		Root:                 i.GetRoot(),
		RunRoot:              i.GetRunRoot(),
		PluginDirectories:    i.GetPluginDirectories(),
		DefaultRuntime:       i.GetDefaultRuntime(),
		DefaultNetworkPlugin: i.GetDefaultNetworkPlugin(),
		Kernel:               i.GetKernel(),
		OperatingSystem:      i.GetOperatingSystem(),
		Architecture:         i.GetArchitecture(),
		Processors:           int(i.GetProcessors()),
		MemoryBytes:          i.GetMemoryBytes(),
		CgroupVersion:        i.GetCgroupVersion(),
		ContainersRunning:    int(i.GetContainersRunning()),
		ContainersStopped:    int(i.GetContainersStopped()),
		Networks:             int(i.GetNetworks()),
		Images:               int(i.GetImages()),
		Checks: each(i.GetChecks(), func(c *apiserverv1.HostCheck) resource.HostCheck {
			return resource.HostCheck{Name: c.GetName(), OK: c.GetOk(), Detail: c.GetDetail()}
		}),
	}
}
