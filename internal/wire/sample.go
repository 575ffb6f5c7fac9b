package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// SampleToProto converts what a sandbox has used.
func SampleToProto(s resource.Sample) *typesv1.Sample {
	return &typesv1.Sample{
		Time: field.Timestamp(s.Time),
		Cpu: field.Present(s.CPU, func(u resource.CPUUse) *typesv1.CPUUse {
			return &typesv1.CPUUse{UsedNanoseconds: u.UsedNanoseconds, ThrottledNanoseconds: u.ThrottledNanoseconds}
		}),
		Memory: field.Present(s.Memory, func(u resource.MemoryUse) *typesv1.MemoryUse {
			return &typesv1.MemoryUse{UsedBytes: u.UsedBytes, CacheBytes: u.CacheBytes, LimitBytes: u.LimitBytes}
		}),
		Processes: field.Present(s.Processes, func(u resource.ProcessUse) *typesv1.ProcessUse {
			return &typesv1.ProcessUse{Count: u.Count, Limit: u.Limit}
		}),
		Block: field.Present(s.Block, func(u resource.BlockUse) *typesv1.BlockUse {
			return &typesv1.BlockUse{ReadBytes: u.ReadBytes, WrittenBytes: u.WrittenBytes, Reads: u.Reads, Writes: u.Writes}
		}),
		Attachments: AttachmentTrafficToProto(s.Attachments),
	}
}

// SampleFromProto converts what a sandbox has used.
func SampleFromProto(s *typesv1.Sample) resource.Sample {
	return resource.Sample{
		Time: field.Instant(s.GetTime()),
		CPU: field.Told(s.GetCpu(), func(u *typesv1.CPUUse) resource.CPUUse {
			return resource.CPUUse{UsedNanoseconds: u.GetUsedNanoseconds(), ThrottledNanoseconds: u.GetThrottledNanoseconds()}
		}),
		Memory: field.Told(s.GetMemory(), func(u *typesv1.MemoryUse) resource.MemoryUse {
			return resource.MemoryUse{UsedBytes: u.GetUsedBytes(), CacheBytes: u.GetCacheBytes(), LimitBytes: u.GetLimitBytes()}
		}),
		Processes: field.Told(s.GetProcesses(), func(u *typesv1.ProcessUse) resource.ProcessUse {
			return resource.ProcessUse{Count: u.GetCount(), Limit: u.GetLimit()}
		}),
		Block: field.Told(s.GetBlock(), func(u *typesv1.BlockUse) resource.BlockUse {
			return resource.BlockUse{ReadBytes: u.GetReadBytes(), WrittenBytes: u.GetWrittenBytes(), Reads: u.GetReads(), Writes: u.GetWrites()}
		}),
		Attachments: AttachmentTrafficFromProto(s.GetAttachments()),
	}
}

// AttachmentTrafficToProto converts the traffic of interfaces.
func AttachmentTrafficToProto(all []resource.AttachmentTraffic) []*typesv1.AttachmentTraffic {
	return field.Each(all, func(a resource.AttachmentTraffic) *typesv1.AttachmentTraffic {
		return &typesv1.AttachmentTraffic{
			NetworkId: a.NetworkID, Network: a.Network, InterfaceName: a.InterfaceName,
			Received: field.Present(a.Received, trafficToProto), Sent: field.Present(a.Sent, trafficToProto),
		}
	})
}

// AttachmentTrafficFromProto converts the traffic of interfaces.
func AttachmentTrafficFromProto(all []*typesv1.AttachmentTraffic) []resource.AttachmentTraffic {
	return field.Each(all, func(a *typesv1.AttachmentTraffic) resource.AttachmentTraffic {
		return resource.AttachmentTraffic{
			NetworkID: a.GetNetworkId(), Network: a.GetNetwork(), InterfaceName: a.GetInterfaceName(),
			Received: field.Told(a.GetReceived(), trafficFromProto), Sent: field.Told(a.GetSent(), trafficFromProto),
		}
	})
}

func trafficToProto(t resource.Traffic) *typesv1.Traffic {
	return &typesv1.Traffic{Bytes: t.Bytes, Packets: t.Packets, Errors: t.Errors, Dropped: t.Dropped}
}

func trafficFromProto(t *typesv1.Traffic) resource.Traffic {
	return resource.Traffic{Bytes: t.GetBytes(), Packets: t.GetPackets(), Errors: t.GetErrors(), Dropped: t.GetDropped()}
}
