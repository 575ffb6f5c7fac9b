package resource

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// VirtualMachines is how virtual machines are run, as the configuration says. It is
// told to the programs of a runtime as JSON.
type VirtualMachines struct {
	Accelerator Accelerator    `json:"accelerator"`
	Type        MachineType    `json:"type"`
	Channel     MachineChannel `json:"channel"`
	UserIDs     UserRange      `json:"userIds"`     // a machine's process gets one of them for itself
	BootTimeout time.Duration  `json:"bootTimeout"` // until a guest must have answered
	Templates   bool           `json:"templates"`   // machines go on from one that was booted before
}

// DefaultVirtualMachines is what holds where nobody says anything else. The ids are
// from a range that neither distributions nor systemd, container engines or
// /etc/subuid give to anybody (https://systemd.io/UIDS-GIDS/).
func DefaultVirtualMachines() VirtualMachines {
	return VirtualMachines{
		Accelerator: AcceleratorAuto,
		Type:        MachineAuto,
		Channel:     ChannelAuto,
		UserIDs:     UserRange{First: 0x70000000, Last: 0x7000ffff},
		BootTimeout: 90 * time.Second,
		Templates:   true,
	}
}

// Accelerator says what executes the instructions of guests.
type Accelerator string

// The accelerators that can be chosen.
const (
	AcceleratorAuto Accelerator = "auto" // KVM where a guest was seen to boot with it
	AcceleratorKVM  Accelerator = "kvm"  // the kernel, or no machine at all
	AcceleratorTCG  Accelerator = "tcg"  // emulation in software
)

// Validate refuses what is none of the accelerators.
func (a Accelerator) Validate() error {
	switch a {
	case AcceleratorAuto, AcceleratorKVM, AcceleratorTCG:
		return nil
	}
	return fmt.Errorf("%q: want %q, %q or %q", string(a), AcceleratorAuto, AcceleratorKVM, AcceleratorTCG)
}

// MachineChannel says by which way helper and agent speak to each other.
type MachineChannel string

// The channels that can be chosen.
const (
	ChannelAuto   MachineChannel = "auto"   // vsock where host and guest have it
	ChannelVsock  MachineChannel = "vsock"  // a socket between guest and host, or no machine at all
	ChannelSerial MachineChannel = "serial" // a virtio-serial port
)

// Validate refuses what is none of the channels.
func (c MachineChannel) Validate() error {
	switch c {
	case ChannelAuto, ChannelVsock, ChannelSerial:
		return nil
	}
	return fmt.Errorf("%q: want %q, %q or %q", string(c), ChannelAuto, ChannelVsock, ChannelSerial)
}

// MachineType is the kind of computer that a virtual machine is.
type MachineType string

// The types that can be chosen.
const (
	MachineAuto MachineType = "auto" // q35, but for what a microvm does as well and sooner
	MachineQ35  MachineType = "q35"  // with PCI: devices are plugged in and out while it runs
	// MachineMicroVM has no PCI: it boots faster, and has for good what it began with.
	MachineMicroVM MachineType = "microvm"
)

// Validate refuses what is none of the types.
func (t MachineType) Validate() error {
	switch t {
	case MachineAuto, MachineQ35, MachineMicroVM:
		return nil
	}
	return fmt.Errorf("%q: want %q, %q or %q", string(t), MachineAuto, MachineQ35, MachineMicroVM)
}

// ChannelStatus is the channel of a machine that runs.
type ChannelStatus struct {
	Channel MachineChannel `json:"channel"` // "vsock" or "serial"
	Reason  string         `json:"reason"`  // in words for the user
}

// MachineStatus is what a virtual machine is that runs.
type MachineStatus struct {
	Type        MachineType   `json:"type"`        // "q35" or "microvm"
	Accelerator Accelerator   `json:"accelerator"` // "kvm" or "tcg"
	Channel     ChannelStatus `json:"channel"`
	Template    bool          `json:"template"` // it went on from one; else it has booted
}

// UserRange is all user ids from First to Last, both of them included. Its text is
// FIRST-LAST.
type UserRange struct {
	First, Last uint32
}

// Size is how many ids there are.
func (r UserRange) Size() int { return int(r.Last-r.First) + 1 }

// String returns FIRST-LAST.
func (r UserRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// MarshalText implements encoding.TextMarshaler.
func (r UserRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Ids of root, and those that the
// kernel takes for "none", are refused.
func (r *UserRange) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	first, err1 := strconv.ParseUint(from, 10, 32)
	last, err2 := strconv.ParseUint(to, 10, 32)
	if err := cmp.Or(err1, err2); err != nil || first == 0 || first > last || last >= 1<<32-1 || first <= 65535 && last >= 65535 {
		return fmt.Errorf("%q: want FIRST-LAST, two user ids in their order, without 0, 65535 and 4294967295, like %v", text, DefaultVirtualMachines().UserIDs)
	}
	*r = UserRange{First: uint32(first), Last: uint32(last)}
	return nil
}
