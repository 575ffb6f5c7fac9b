package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire/field"
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
		Variants: field.Each(p.Variants, func(v resource.PluginVariant) *apiserverv1.Variant {
			return &apiserverv1.Variant{Name: v.Name, Strategy: v.Strategy}
		}),
		Strategies: p.Strategies,
		Fault:      p.Fault,
		Shadowed:   p.Shadowed,
		Instances:  PluginInstancesToProto(p.Instances),
		Codec:      string(p.Codec),
	}
}

// PluginsToProto converts a list of plugins.
func PluginsToProto(ps []resource.Plugin) []*apiserverv1.Plugin { return field.Each(ps, PluginToProto) }

// PluginInstancesToProto converts a list of running helpers.
func PluginInstancesToProto(is []resource.PluginInstance) []*apiserverv1.PluginInstance {
	return field.Each(is, func(i resource.PluginInstance) *apiserverv1.PluginInstance {
		return &apiserverv1.PluginInstance{Resource: i.Resource, Pid: int64(i.PID), State: i.State, Version: i.Version}
	})
}
