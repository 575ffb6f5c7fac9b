package wire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// SampleToProto converts what a sandbox has used.
func SampleToProto(s resource.Sample) *typesv1.Sample {
	return &typesv1.Sample{
		Time: timestamp(s.Time),
		Cpu: present(s.CPU, func(u resource.CPUUse) *typesv1.CPUUse {
			return &typesv1.CPUUse{UsedNanoseconds: u.UsedNanoseconds, ThrottledNanoseconds: u.ThrottledNanoseconds}
		}),
		Memory: present(s.Memory, func(u resource.MemoryUse) *typesv1.MemoryUse {
			return &typesv1.MemoryUse{UsedBytes: u.UsedBytes, CacheBytes: u.CacheBytes, LimitBytes: u.LimitBytes}
		}),
		Processes: present(s.Processes, func(u resource.ProcessUse) *typesv1.ProcessUse {
			return &typesv1.ProcessUse{Count: u.Count, Limit: u.Limit}
		}),
		Block: present(s.Block, func(u resource.BlockUse) *typesv1.BlockUse {
			return &typesv1.BlockUse{ReadBytes: u.ReadBytes, WrittenBytes: u.WrittenBytes, Reads: u.Reads, Writes: u.Writes}
		}),
		Attachments: attachmentTrafficToProto(s.Attachments),
	}
}

// SampleFromProto converts what a sandbox has used.
func SampleFromProto(s *typesv1.Sample) resource.Sample {
	return resource.Sample{
		Time: instant(s.GetTime()),
		CPU: told(s.GetCpu(), func(u *typesv1.CPUUse) resource.CPUUse {
			return resource.CPUUse{UsedNanoseconds: u.GetUsedNanoseconds(), ThrottledNanoseconds: u.GetThrottledNanoseconds()}
		}),
		Memory: told(s.GetMemory(), func(u *typesv1.MemoryUse) resource.MemoryUse {
			return resource.MemoryUse{UsedBytes: u.GetUsedBytes(), CacheBytes: u.GetCacheBytes(), LimitBytes: u.GetLimitBytes()}
		}),
		Processes: told(s.GetProcesses(), func(u *typesv1.ProcessUse) resource.ProcessUse {
			return resource.ProcessUse{Count: u.GetCount(), Limit: u.GetLimit()}
		}),
		Block: told(s.GetBlock(), func(u *typesv1.BlockUse) resource.BlockUse {
			return resource.BlockUse{ReadBytes: u.GetReadBytes(), WrittenBytes: u.GetWrittenBytes(), Reads: u.GetReads(), Writes: u.GetWrites()}
		}),
		Attachments: attachmentTrafficFromProto(s.GetAttachments()),
	}
}

func attachmentTrafficToProto(all []resource.AttachmentTraffic) []*typesv1.AttachmentTraffic {
	return each(all, func(a resource.AttachmentTraffic) *typesv1.AttachmentTraffic {
		return &typesv1.AttachmentTraffic{
			NetworkId: a.NetworkID, Network: a.Network, InterfaceName: a.InterfaceName,
			Received: present(a.Received, trafficToProto), Sent: present(a.Sent, trafficToProto),
		}
	})
}

func attachmentTrafficFromProto(all []*typesv1.AttachmentTraffic) []resource.AttachmentTraffic {
	return each(all, func(a *typesv1.AttachmentTraffic) resource.AttachmentTraffic {
		return resource.AttachmentTraffic{
			NetworkID: a.GetNetworkId(), Network: a.GetNetwork(), InterfaceName: a.GetInterfaceName(),
			Received: told(a.GetReceived(), trafficFromProto), Sent: told(a.GetSent(), trafficFromProto),
		}
	})
}

func trafficToProto(t resource.Traffic) *typesv1.Traffic {
	return &typesv1.Traffic{Bytes: t.Bytes, Packets: t.Packets, Errors: t.Errors, Dropped: t.Dropped}
}

func trafficFromProto(t *typesv1.Traffic) resource.Traffic {
	return resource.Traffic{Bytes: t.GetBytes(), Packets: t.GetPackets(), Errors: t.GetErrors(), Dropped: t.GetDropped()}
}

// ContainerStatsToProto converts the sample of a container; one with a fault has
// none.
func ContainerStatsToProto(s resource.ContainerStats) *apiserverv1.ContainerStats {
	out := &apiserverv1.ContainerStats{Id: s.ID, Name: s.Name, Fault: s.Fault}
	if s.Fault == "" {
		out.Sample = SampleToProto(s.Sample)
	}
	return out
}

// ContainerStatsFromProto converts the sample of a container.
func ContainerStatsFromProto(s *apiserverv1.ContainerStats) resource.ContainerStats {
	return resource.ContainerStats{ID: s.GetId(), Name: s.GetName(), Sample: SampleFromProto(s.GetSample()), Fault: s.GetFault()}
}

// present converts a value that there may be; nil stays nil.
func present[A, B any](in *A, convert func(A) *B) *B {
	if in == nil {
		return nil
	}
	return convert(*in)
}

// told converts a message that there may be; nil stays nil.
func told[A, B any](in *A, convert func(*A) B) *B {
	if in == nil {
		return nil
	}
	out := convert(in)
	return &out
}
