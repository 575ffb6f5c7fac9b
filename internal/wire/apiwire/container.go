package apiwire

import (
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

var containerStates = field.NewEnum(map[resource.ContainerState]apiserverv1.ContainerState{
	resource.ContainerCreated:  apiserverv1.ContainerState_CONTAINER_STATE_CREATED,
	resource.ContainerStarting: apiserverv1.ContainerState_CONTAINER_STATE_STARTING,
	resource.ContainerRunning:  apiserverv1.ContainerState_CONTAINER_STATE_RUNNING,
	resource.ContainerStopping: apiserverv1.ContainerState_CONTAINER_STATE_STOPPING,
	resource.ContainerStopped:  apiserverv1.ContainerState_CONTAINER_STATE_STOPPED,
})

// ContainerStateFromProto converts the state of a container.
func ContainerStateFromProto(s apiserverv1.ContainerState) resource.ContainerState {
	return containerStates.FromProto(s)
}

// ContainerToProto converts a container.
func ContainerToProto(c resource.Container) *apiserverv1.Container {
	s := c.Status
	return &apiserverv1.Container{
		Metadata:      wire.MetadataToProto(c.Metadata),
		Configuration: containerConfigurationToProto(c.Configuration),
		Status: &apiserverv1.ContainerStatus{
			State:       containerStates.ToProto(s.State),
			Message:     s.Message,
			Pid:         int64(s.PID),
			HelperPid:   int64(s.HelperPID),
			StartedAt:   field.Timestamp(s.StartedAt),
			ExitedAt:    field.Timestamp(s.ExitedAt),
			ExitCode:    int32(s.ExitCode),
			OutOfMemory: s.OutOfMemory,
			Attachments: wire.AttachmentsToProto(s.Attachments),
			Faults:      s.Faults,
			Ports:       wire.PublishedPortsToProto(s.Ports),
			Traffic:     wire.AttachmentTrafficToProto(s.Traffic),
			Machine:     wire.MachineToProto(s.Machine),
		},
	}
}

func containerConfigurationToProto(c resource.ContainerConfiguration) *apiserverv1.ContainerConfiguration {
	return &apiserverv1.ContainerConfiguration{
		Image:            c.Image,
		ImageDigest:      c.ImageDigest,
		Hostname:         c.Hostname,
		Process:          wire.ProcessToProto(c.Process),
		Mounts:           wire.MountsToProto(c.Mounts),
		Networks:         field.Each(c.Networks, wire.AttachmentConfigurationToProto),
		Dns:              wire.DNSToProto(c.DNS),
		ExtraHosts:       wire.ExtraHostsToProto(c.ExtraHosts),
		Ports:            wire.PublishedPortsToProto(c.Ports),
		Resources:        wire.ResourcesToProto(c.Resources),
		CapabilitiesAdd:  c.CapabilitiesAdd,
		CapabilitiesDrop: c.CapabilitiesDrop,
		ReadOnly:         c.ReadOnly,
		Init:             c.Init,
		AutoRemove:       c.AutoRemove,
		Runtime:          c.Runtime,
		StopSignal:       c.StopSignal,
		StopTimeout:      message.NewDuration(c.StopTimeout),
		Log:              wire.LogLimitsToProto(c.Log),
	}
}

// ContainerFromProto converts a container.
func ContainerFromProto(c *apiserverv1.Container) (resource.Container, error) {
	var f field.Faults
	s := c.GetStatus()
	out := resource.Container{
		Metadata:      wire.MetadataFromProto(c.GetMetadata()),
		Configuration: containerConfiguration(&f, c.GetConfiguration()),
		Status: resource.ContainerStatus{
			State:       containerStates.FromProto(s.GetState()),
			Message:     s.GetMessage(),
			PID:         int(s.GetPid()),
			HelperPID:   int(s.GetHelperPid()),
			StartedAt:   field.Instant(s.GetStartedAt()),
			ExitedAt:    field.Instant(s.GetExitedAt()),
			ExitCode:    int(s.GetExitCode()),
			OutOfMemory: s.GetOutOfMemory(),
			Attachments: field.From(&f, s.GetAttachments(), wire.AttachmentsFromProto),
			Faults:      s.GetFaults(),
			Ports:       field.From(&f, s.GetPorts(), wire.PublishedPortsFromProto),
			Traffic:     wire.AttachmentTrafficFromProto(s.GetTraffic()),
			Machine:     wire.MachineFromProto(s.GetMachine()),
		},
	}
	return out, f.Err()
}

func containerConfiguration(f *field.Faults, c *apiserverv1.ContainerConfiguration) resource.ContainerConfiguration {
	return resource.ContainerConfiguration{
		Image:       c.GetImage(),
		ImageDigest: c.GetImageDigest(),
		Hostname:    c.GetHostname(),
		Process:     wire.ProcessFromProto(c.GetProcess()),
		Mounts:      wire.MountsFromProto(c.GetMounts()),
		Networks: field.Each(c.GetNetworks(), func(n *typesv1.AttachmentConfiguration) resource.AttachmentConfiguration {
			return field.From(f, n, wire.AttachmentConfigurationFromProto)
		}),
		DNS:              field.From(f, c.GetDns(), wire.DNSFromProto),
		ExtraHosts:       field.From(f, c.GetExtraHosts(), wire.ExtraHostsFromProto),
		Ports:            field.From(f, c.GetPorts(), wire.PublishedPortsFromProto),
		Resources:        wire.ResourcesFromProto(c.GetResources()),
		CapabilitiesAdd:  c.GetCapabilitiesAdd(),
		CapabilitiesDrop: c.GetCapabilitiesDrop(),
		ReadOnly:         c.GetReadOnly(),
		Init:             c.GetInit(),
		AutoRemove:       c.GetAutoRemove(),
		Runtime:          c.GetRuntime(),
		StopSignal:       c.GetStopSignal(),
		StopTimeout:      c.GetStopTimeout().AsDuration(),
		Log:              wire.LogLimitsFromProto(c.GetLog()),
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
		Mounts:           wire.MountsToProto(t.Mounts),
		Networks:         field.Each(t.Networks, wire.AttachmentConfigurationToProto),
		Dns:              wire.DNSToProto(t.DNS),
		ExtraHosts:       wire.ExtraHostsToProto(t.ExtraHosts),
		Ports:            wire.PublishedPortsToProto(t.Ports),
		PublishAll:       t.PublishAll,
		NoNetwork:        t.NoNetwork,
		Resources:        wire.ResourcesToProto(t.Resources),
		CapabilitiesAdd:  t.CapabilitiesAdd,
		CapabilitiesDrop: t.CapabilitiesDrop,
		ReadOnly:         t.ReadOnly,
		Init:             t.Init,
		AutoRemove:       t.AutoRemove,
		Runtime:          t.Runtime,
		StopSignal:       t.StopSignal,
		Log:              wire.LogLimitsToProto(t.Log),
	}
	if t.StopTimeout != nil {
		out.StopTimeout = message.NewDuration(*t.StopTimeout)
	}
	return out
}

// ContainerTemplateFromProto converts a user's request for a container.
func ContainerTemplateFromProto(t *apiserverv1.ContainerTemplate) (resource.ContainerTemplate, error) {
	var f field.Faults
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
		Mounts:           wire.MountsFromProto(t.GetMounts()),
		Networks: field.Each(t.GetNetworks(), func(n *typesv1.AttachmentConfiguration) resource.AttachmentConfiguration {
			return field.From(&f, n, wire.AttachmentConfigurationFromProto)
		}),
		DNS:              field.From(&f, t.GetDns(), wire.DNSFromProto),
		ExtraHosts:       field.From(&f, t.GetExtraHosts(), wire.ExtraHostsFromProto),
		Ports:            field.From(&f, t.GetPorts(), wire.PublishedPortsFromProto),
		PublishAll:       t.GetPublishAll(),
		NoNetwork:        t.GetNoNetwork(),
		Resources:        wire.ResourcesFromProto(t.GetResources()),
		CapabilitiesAdd:  t.GetCapabilitiesAdd(),
		CapabilitiesDrop: t.GetCapabilitiesDrop(),
		ReadOnly:         t.GetReadOnly(),
		Init:             t.GetInit(),
		AutoRemove:       t.GetAutoRemove(),
		Runtime:          t.GetRuntime(),
		StopSignal:       t.GetStopSignal(),
		Log:              wire.LogLimitsFromProto(t.GetLog()),
	}
	if t.GetStopTimeout() != nil {
		d := t.GetStopTimeout().AsDuration()
		out.StopTimeout = &d
	}
	return out, f.Err()
}
