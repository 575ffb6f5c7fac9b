package resource

import "time"

// Sample is what a sandbox has used since it was made. What its kernel does not
// count is nil.
type Sample struct {
	Time        time.Time           `json:"time,omitzero"`
	CPU         *CPUUse             `json:"cpu,omitempty"`
	Memory      *MemoryUse          `json:"memory,omitempty"`
	Processes   *ProcessUse         `json:"processes,omitempty"`
	Block       *BlockUse           `json:"block,omitempty"`
	Attachments []AttachmentTraffic `json:"attachments,omitempty"` // in the order of the interfaces
}

// CPUUse is time of all processors together, in nanoseconds.
type CPUUse struct {
	UsedNanoseconds      uint64 `json:"usedNanoseconds"`
	ThrottledNanoseconds uint64 `json:"throttledNanoseconds"` // that threads have waited because of the limit
}

// MemoryUse is of a sandbox's processes; that of a virtual machine, of the
// container's in the guest.
type MemoryUse struct {
	UsedBytes  uint64 `json:"usedBytes"`  // with what is cached of files
	CacheBytes uint64 `json:"cacheBytes"` // of those, of files and not used of late: what the kernel takes back first
	LimitBytes uint64 `json:"limitBytes"` // 0: none. Of a virtual machine: all the memory that its kernel has
}

// ProcessUse counts processes and their threads, as the limit does.
type ProcessUse struct {
	Count uint64 `json:"count"`
	Limit uint64 `json:"limit"` // 0: none
}

// BlockUse is of the block devices of the host; that of a virtual machine, of the
// guest.
type BlockUse struct {
	ReadBytes    uint64 `json:"readBytes"`
	WrittenBytes uint64 `json:"writtenBytes"`
	Reads        uint64 `json:"reads"`
	Writes       uint64 `json:"writes"`
}

// AttachmentTraffic is what has gone over an interface since it became the
// sandbox's, as the sandbox sees it.
type AttachmentTraffic struct {
	NetworkID     string   `json:"networkId"`
	Network       string   `json:"network"` // name
	InterfaceName string   `json:"interfaceName"`
	Received      *Traffic `json:"received,omitempty"` // by the sandbox; nil: it has no interface of that name any more
	Sent          *Traffic `json:"sent,omitempty"`
}

// Traffic is frames of one direction.
type Traffic struct {
	Bytes   uint64 `json:"bytes"`
	Packets uint64 `json:"packets"`
	Errors  uint64 `json:"errors"`
	Dropped uint64 `json:"dropped"`
}

// ContainerStats is the sample of a container, or why there is none.
type ContainerStats struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Sample        // zero with a fault
	Fault  string `json:"fault,omitempty"`
}
