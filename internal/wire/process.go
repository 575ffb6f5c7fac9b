package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

var mountTypes = field.NewEnum(map[resource.MountType]typesv1.MountType{
	resource.MountBind:   typesv1.MountType_MOUNT_TYPE_BIND,
	resource.MountTmpfs:  typesv1.MountType_MOUNT_TYPE_TMPFS,
	resource.MountVolume: typesv1.MountType_MOUNT_TYPE_VOLUME,
})

// ProcessToProto converts a command.
func ProcessToProto(p resource.Process) *typesv1.Process {
	return &typesv1.Process{
		Args:             p.Args,
		Env:              p.Env,
		WorkingDirectory: p.WorkingDirectory,
		User:             p.User,
		AdditionalGroups: p.AdditionalGroups,
		Terminal:         p.Terminal,
		Stdin:            p.Stdin,
	}
}

// ProcessFromProto converts a command.
func ProcessFromProto(p *typesv1.Process) resource.Process {
	return resource.Process{
		Args:             p.GetArgs(),
		Env:              p.GetEnv(),
		WorkingDirectory: p.GetWorkingDirectory(),
		User:             p.GetUser(),
		AdditionalGroups: p.GetAdditionalGroups(),
		Terminal:         p.GetTerminal(),
		Stdin:            p.GetStdin(),
	}
}

// MountsToProto converts a list of mounts.
func MountsToProto(ms []resource.Mount) []*typesv1.Mount {
	return field.Each(ms, func(m resource.Mount) *typesv1.Mount {
		return &typesv1.Mount{Type: mountTypes.ToProto(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Options: m.Options}
	})
}

// MountsFromProto converts a list of mounts.
func MountsFromProto(ms []*typesv1.Mount) []resource.Mount {
	return field.Each(ms, func(m *typesv1.Mount) resource.Mount {
		return resource.Mount{Type: mountTypes.FromProto(m.GetType()), Source: m.GetSource(), Target: m.GetTarget(), ReadOnly: m.GetReadOnly(), Options: m.GetOptions()}
	})
}

// ResourcesToProto converts resource limits; nil for none.
func ResourcesToProto(r resource.Resources) *typesv1.Resources {
	if r == (resource.Resources{}) {
		return nil
	}
	return &typesv1.Resources{MemoryBytes: r.MemoryBytes, NanoCpus: r.NanoCPUs, Pids: r.PIDs}
}

// ResourcesFromProto converts resource limits.
func ResourcesFromProto(r *typesv1.Resources) resource.Resources {
	return resource.Resources{MemoryBytes: r.GetMemoryBytes(), NanoCPUs: r.GetNanoCpus(), PIDs: r.GetPids()}
}

// MachineToProto converts what a virtual machine is; nil: there is none.
func MachineToProto(m *resource.MachineStatus) *typesv1.Machine {
	if m == nil {
		return nil
	}
	return &typesv1.Machine{
		Type: string(m.Type), Accelerator: string(m.Accelerator),
		Channel: string(m.Channel.Channel), ChannelReason: m.Channel.Reason, Template: m.Template,
	}
}

// MachineFromProto converts what a virtual machine is.
func MachineFromProto(m *typesv1.Machine) *resource.MachineStatus {
	if m == nil {
		return nil
	}
	return &resource.MachineStatus{
		Type: resource.MachineType(m.GetType()), Accelerator: resource.Accelerator(m.GetAccelerator()), Template: m.GetTemplate(),
		Channel: resource.ChannelStatus{Channel: resource.MachineChannel(m.GetChannel()), Reason: m.GetChannelReason()},
	}
}
