package wire

import (
	"google.golang.org/protobuf/types/known/durationpb"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

var (
	containerStates = newEnum(map[resource.ContainerState]apiserverv1.ContainerState{
		resource.ContainerCreated:  apiserverv1.ContainerState_CONTAINER_STATE_CREATED,
		resource.ContainerStarting: apiserverv1.ContainerState_CONTAINER_STATE_STARTING,
		resource.ContainerRunning:  apiserverv1.ContainerState_CONTAINER_STATE_RUNNING,
		resource.ContainerStopping: apiserverv1.ContainerState_CONTAINER_STATE_STOPPING,
		resource.ContainerStopped:  apiserverv1.ContainerState_CONTAINER_STATE_STOPPED,
	})
	mountTypes = newEnum(map[resource.MountType]typesv1.MountType{
		resource.MountBind:   typesv1.MountType_MOUNT_TYPE_BIND,
		resource.MountTmpfs:  typesv1.MountType_MOUNT_TYPE_TMPFS,
		resource.MountVolume: typesv1.MountType_MOUNT_TYPE_VOLUME,
	})
)

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
	return each(ms, func(m resource.Mount) *typesv1.Mount {
		return &typesv1.Mount{Type: mountTypes.toProto[m.Type], Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Options: m.Options}
	})
}

// MountsFromProto converts a list of mounts.
func MountsFromProto(ms []*typesv1.Mount) []resource.Mount {
	return each(ms, func(m *typesv1.Mount) resource.Mount {
		return resource.Mount{Type: mountTypes.fromProto[m.GetType()], Source: m.GetSource(), Target: m.GetTarget(), ReadOnly: m.GetReadOnly(), Options: m.GetOptions()}
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

// ContainerToProto converts a container.
func ContainerToProto(c resource.Container) *apiserverv1.Container {
	s := c.Status
	return &apiserverv1.Container{
		Metadata:      MetadataToProto(c.Metadata),
		Configuration: containerConfigurationToProto(c.Configuration),
		Status: &apiserverv1.ContainerStatus{
			State:       containerStates.toProto[s.State],
			Message:     s.Message,
			Pid:         int64(s.PID),
			HelperPid:   int64(s.HelperPID),
			StartedAt:   timestamp(s.StartedAt),
			ExitedAt:    timestamp(s.ExitedAt),
			ExitCode:    int32(s.ExitCode),
			OutOfMemory: s.OutOfMemory,
			Attachments: AttachmentsToProto(s.Attachments),
			Faults:      s.Faults,
			Ports:       PublishedPortsToProto(s.Ports),
			Traffic:     attachmentTrafficToProto(s.Traffic),
			Machine:     MachineToProto(s.Machine),
		},
	}
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

func containerConfigurationToProto(c resource.ContainerConfiguration) *apiserverv1.ContainerConfiguration {
	return &apiserverv1.ContainerConfiguration{
		Image:            c.Image,
		ImageDigest:      c.ImageDigest,
		Hostname:         c.Hostname,
		Process:          ProcessToProto(c.Process),
		Mounts:           MountsToProto(c.Mounts),
		Networks:         each(c.Networks, AttachmentConfigurationToProto),
		Dns:              DNSToProto(c.DNS),
		ExtraHosts:       ExtraHostsToProto(c.ExtraHosts),
		Ports:            PublishedPortsToProto(c.Ports),
		Resources:        ResourcesToProto(c.Resources),
		CapabilitiesAdd:  c.CapabilitiesAdd,
		CapabilitiesDrop: c.CapabilitiesDrop,
		ReadOnly:         c.ReadOnly,
		Init:             c.Init,
		AutoRemove:       c.AutoRemove,
		Runtime:          c.Runtime,
		StopSignal:       c.StopSignal,
		StopTimeout:      durationpb.New(c.StopTimeout),
		Log:              LogLimitsToProto(c.Log),
	}
}

// ContainerFromProto converts a container.
func ContainerFromProto(c *apiserverv1.Container) (resource.Container, error) {
	var f faults
	s := c.GetStatus()
	out := resource.Container{
		Metadata:      MetadataFromProto(c.GetMetadata()),
		Configuration: containerConfiguration(&f, c.GetConfiguration()),
		Status: resource.ContainerStatus{
			State:       containerStates.fromProto[s.GetState()],
			Message:     s.GetMessage(),
			PID:         int(s.GetPid()),
			HelperPID:   int(s.GetHelperPid()),
			StartedAt:   instant(s.GetStartedAt()),
			ExitedAt:    instant(s.GetExitedAt()),
			ExitCode:    int(s.GetExitCode()),
			OutOfMemory: s.GetOutOfMemory(),
			Attachments: attachments(&f, s.GetAttachments()),
			Faults:      s.GetFaults(),
			Ports:       publishedPorts(&f, s.GetPorts()),
			Traffic:     attachmentTrafficFromProto(s.GetTraffic()),
			Machine:     MachineFromProto(s.GetMachine()),
		},
	}
	return out, f.err()
}

func containerConfiguration(f *faults, c *apiserverv1.ContainerConfiguration) resource.ContainerConfiguration {
	return resource.ContainerConfiguration{
		Image:       c.GetImage(),
		ImageDigest: c.GetImageDigest(),
		Hostname:    c.GetHostname(),
		Process:     ProcessFromProto(c.GetProcess()),
		Mounts:      MountsFromProto(c.GetMounts()),
		Networks: each(c.GetNetworks(), func(n *typesv1.AttachmentConfiguration) resource.AttachmentConfiguration {
			return attachmentConfiguration(f, n)
		}),
		DNS:              dns(f, c.GetDns()),
		ExtraHosts:       extraHosts(f, c.GetExtraHosts()),
		Ports:            publishedPorts(f, c.GetPorts()),
		Resources:        ResourcesFromProto(c.GetResources()),
		CapabilitiesAdd:  c.GetCapabilitiesAdd(),
		CapabilitiesDrop: c.GetCapabilitiesDrop(),
		ReadOnly:         c.GetReadOnly(),
		Init:             c.GetInit(),
		AutoRemove:       c.GetAutoRemove(),
		Runtime:          c.GetRuntime(),
		StopSignal:       c.GetStopSignal(),
		StopTimeout:      c.GetStopTimeout().AsDuration(),
		Log:              LogLimitsFromProto(c.GetLog()),
	}
}

// ContainerTemplateToProto converts a user's request for a container.
func ContainerTemplateToProto(t resource.ContainerTemplate) *apiserverv1.ContainerTemplate {
	out := &apiserverv1.ContainerTemplate{
		Image:            t.Image,
		Hostname:         t.Hostname,
		Entrypoint:       t.Entrypoint,
		ClearEntrypoint:  t.ClearEntrypoint,
		Command:          t.Command,
		Env:              t.Env,
		WorkingDirectory: t.WorkingDirectory,
		User:             t.User,
		Terminal:         t.Terminal,
		Stdin:            t.Stdin,
		Mounts:           MountsToProto(t.Mounts),
		Networks:         each(t.Networks, AttachmentConfigurationToProto),
		Dns:              DNSToProto(t.DNS),
		ExtraHosts:       ExtraHostsToProto(t.ExtraHosts),
		Ports:            PublishedPortsToProto(t.Ports),
		PublishAll:       t.PublishAll,
		NoNetwork:        t.NoNetwork,
		Resources:        ResourcesToProto(t.Resources),
		CapabilitiesAdd:  t.CapabilitiesAdd,
		CapabilitiesDrop: t.CapabilitiesDrop,
		ReadOnly:         t.ReadOnly,
		Init:             t.Init,
		AutoRemove:       t.AutoRemove,
		Runtime:          t.Runtime,
		StopSignal:       t.StopSignal,
		Log:              LogLimitsToProto(t.Log),
	}
	if t.StopTimeout != nil {
		out.StopTimeout = durationpb.New(*t.StopTimeout)
	}
	return out
}

// ContainerTemplateFromProto converts a user's request for a container.
func ContainerTemplateFromProto(t *apiserverv1.ContainerTemplate) (resource.ContainerTemplate, error) {
	var f faults
	out := resource.ContainerTemplate{
		Image:            t.GetImage(),
		Hostname:         t.GetHostname(),
		Entrypoint:       t.GetEntrypoint(),
		ClearEntrypoint:  t.GetClearEntrypoint(),
		Command:          t.GetCommand(),
		Env:              t.GetEnv(),
		WorkingDirectory: t.GetWorkingDirectory(),
		User:             t.GetUser(),
		Terminal:         t.GetTerminal(),
		Stdin:            t.GetStdin(),
		Mounts:           MountsFromProto(t.GetMounts()),
		Networks: each(t.GetNetworks(), func(n *typesv1.AttachmentConfiguration) resource.AttachmentConfiguration {
			return attachmentConfiguration(&f, n)
		}),
		DNS:              dns(&f, t.GetDns()),
		ExtraHosts:       extraHosts(&f, t.GetExtraHosts()),
		Ports:            publishedPorts(&f, t.GetPorts()),
		PublishAll:       t.GetPublishAll(),
		NoNetwork:        t.GetNoNetwork(),
		Resources:        ResourcesFromProto(t.GetResources()),
		CapabilitiesAdd:  t.GetCapabilitiesAdd(),
		CapabilitiesDrop: t.GetCapabilitiesDrop(),
		ReadOnly:         t.GetReadOnly(),
		Init:             t.GetInit(),
		AutoRemove:       t.GetAutoRemove(),
		Runtime:          t.GetRuntime(),
		StopSignal:       t.GetStopSignal(),
		Log:              LogLimitsFromProto(t.GetLog()),
	}
	if t.GetStopTimeout() != nil {
		d := t.GetStopTimeout().AsDuration()
		out.StopTimeout = &d
	}
	return out, f.err()
}
