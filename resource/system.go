package resource

import "time"

// SystemInfo describes a server and its host as far as they decide what works.
type SystemInfo struct {
	Version              string      `json:"version"`
	Revision             string      `json:"revision"` // of the source
	StartedAt            time.Time   `json:"startedAt"`
	PID                  int         `json:"pid"`
	Root                 string      `json:"root"`
	RunRoot              string      `json:"runRoot"`
	PluginDirectories    []string    `json:"pluginDirectories"`
	DefaultRuntime       string      `json:"defaultRuntime"`
	DefaultNetworkPlugin string      `json:"defaultNetworkPlugin"`
	Kernel               string      `json:"kernel"`
	OperatingSystem      string      `json:"operatingSystem"`
	Architecture         string      `json:"architecture"`
	Processors           int         `json:"processors"`
	MemoryBytes          int64       `json:"memoryBytes"`
	CgroupVersion        string      `json:"cgroupVersion"` // "1", "2" or "hybrid"
	ContainersRunning    int         `json:"containersRunning"`
	ContainersStopped    int         `json:"containersStopped"`
	Networks             int         `json:"networks"`
	Images               int         `json:"images"`
	Checks               []HostCheck `json:"checks,omitempty"`
}

// Kernel is what virtual machines boot.
type Kernel struct {
	Release string   `json:"release"` // as uname -r says
	Source  string   `json:"source"`  // where its image was taken from
	Digest  string   `json:"digest"`  // of the image and its modules
	Modules []string `json:"modules"` // that a guest loads, in this order
	// Templates are virtual machines that were saved for others to go on from, those
	// used last first.
	Templates   []KernelTemplate  `json:"templates"`
	Accelerator AcceleratorStatus `json:"accelerator"`
}

// AcceleratorStatus is what executes guests now.
type AcceleratorStatus struct {
	Accelerator Accelerator `json:"accelerator"` // "kvm" or "tcg"; empty: none, no guest can run
	Reason      string      `json:"reason"`      // in words for the user
}

// String is a line for the user.
func (s AcceleratorStatus) String() string {
	name := "none"
	switch s.Accelerator {
	case AcceleratorKVM:
		name = "KVM"
	case AcceleratorTCG:
		name = "software emulation"
	case AcceleratorAuto:
	}
	return name + ": " + s.Reason
}

// KernelTemplate is a virtual machine that was booted and saved.
type KernelTemplate struct {
	MemoryBytes int64     `json:"memoryBytes"`
	Processors  int       `json:"processors"`
	Accelerator string    `json:"accelerator"`
	BuiltAt     time.Time `json:"builtAt"`
	UsedAt      time.Time `json:"usedAt"` // or built
	Uses        int       `json:"uses"`
	DiskBytes   int64     `json:"diskBytes"` // that it takes
}

// What the message of a status says of a process that does not answer.
const (
	PluginSilent = "its plugin does not answer"
	HelperSilent = "its runtime helper does not answer"
)

// HostCheck is one thing that a host has or lacks, or a process of Patchbay that does not answer.
type HostCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}
