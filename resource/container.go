package resource

import "time"

// DefaultStopTimeout is how long a container may take to end by its stop
// signal before it is killed, unless it says otherwise.
const DefaultStopTimeout = 10 * time.Second

// ContainerConfiguration is what the user asked for, completed from the image
// when the container was created.
type ContainerConfiguration struct {
	Image            string                    `json:"image"`       // reference as the user gave it
	ImageDigest      string                    `json:"imageDigest"` // manifest it stood for at creation
	Hostname         string                    `json:"hostname"`
	Process          Process                   `json:"process"`
	Mounts           []Mount                   `json:"mounts,omitempty"`
	Networks         []AttachmentConfiguration `json:"networks,omitempty"` // in the order of the interfaces
	DNS              DNSConfiguration          `json:"dns,omitzero"`
	ExtraHosts       []ExtraHost               `json:"extraHosts,omitempty"`
	Ports            []PublishedPort           `json:"ports,omitempty"` // each with its host port
	Resources        Resources                 `json:"resources,omitzero"`
	CapabilitiesAdd  []string                  `json:"capabilitiesAdd,omitempty"` // "CAP_..." or "ALL"
	CapabilitiesDrop []string                  `json:"capabilitiesDrop,omitempty"`
	ReadOnly         bool                      `json:"readOnly,omitempty"`
	Init             bool                      `json:"init,omitempty"`
	AutoRemove       bool                      `json:"autoRemove,omitempty"`
	Runtime          string                    `json:"runtime"`
	StopSignal       string                    `json:"stopSignal"`
	StopTimeout      time.Duration             `json:"stopTimeout"` // nanoseconds
	Log              LogLimits                 `json:"log,omitzero"`
}

// Process is one command in a sandbox.
type Process struct {
	Args             []string `json:"args"`
	Env              []string `json:"env,omitempty"` // KEY=VALUE
	WorkingDirectory string   `json:"workingDirectory,omitempty"`
	User             string   `json:"user,omitempty"` // name|uid[:group|gid], as in the image spec
	AdditionalGroups []string `json:"additionalGroups,omitempty"`
	Terminal         bool     `json:"terminal,omitempty"`
	Stdin            bool     `json:"stdin,omitempty"` // keep standard input open
}

// MountType says where the content of a mount comes from.
type MountType string

// The types of mounts.
const (
	MountBind   MountType = "bind"
	MountTmpfs  MountType = "tmpfs"
	MountVolume MountType = "volume" // anonymous, lives and dies with its container
)

// Mount is one mount beside the root file system.
type Mount struct {
	Type     MountType `json:"type"`
	Source   string    `json:"source,omitempty"` // absolute host path of a bind
	Target   string    `json:"target"`           // absolute path in the container
	ReadOnly bool      `json:"readOnly,omitempty"`
	Options  []string  `json:"options,omitempty"` // as of mount(8), e.g. "rshared", "size=64m"
}

// Resources are upper bounds; zero means unlimited.
type Resources struct {
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	NanoCPUs    int64 `json:"nanoCpus,omitempty"` // 1e9 is one processor
	PIDs        int64 `json:"pids,omitempty"`
}

// ContainerState is the state of a container as a user sees it.
type ContainerState string

// The states of a container.
const (
	ContainerCreated  ContainerState = "created" // never started, or running when the host went down
	ContainerStarting ContainerState = "starting"
	ContainerRunning  ContainerState = "running"
	ContainerStopping ContainerState = "stopping"
	ContainerStopped  ContainerState = "stopped"
)

// ContainerStatus is what is true of a container now.
type ContainerStatus struct {
	State       ContainerState  `json:"state"`
	Message     string          `json:"message,omitempty"`
	PID         int             `json:"pid,omitempty"` // of the main process, as the host sees it
	HelperPID   int             `json:"helperPid,omitempty"`
	StartedAt   time.Time       `json:"startedAt,omitzero"`
	ExitedAt    time.Time       `json:"exitedAt,omitzero"`
	ExitCode    int             `json:"exitCode"`
	OutOfMemory bool            `json:"outOfMemory,omitempty"`
	Attachments []Attachment    `json:"attachments,omitempty"`
	Faults      []string        `json:"faults,omitempty"`
	Ports       []PublishedPort `json:"ports,omitempty"` // open now
	// Traffic is that of the attachments, where one container is asked for and its
	// runtime helper tells it in time.
	Traffic []AttachmentTraffic `json:"traffic,omitempty"`
	// Machine is the virtual machine of one that runs in one.
	Machine *MachineStatus `json:"machine,omitempty"`
}

// ContainerTemplate is a container as a user asks for it; what is left out
// comes from the image.
type ContainerTemplate struct {
	Image            string
	Hostname         string // empty: the start of the id
	Entrypoint       []string
	ClearEntrypoint  bool // the image's entrypoint is not used, though Entrypoint is empty
	Command          []string
	Env              []string // KEY=VALUE
	WorkingDirectory string
	User             string
	Terminal         bool
	Stdin            bool
	Mounts           []Mount
	Networks         []AttachmentConfiguration // none and not NoNetwork: the built-in network
	NoNetwork        bool                      // loopback only
	DNS              DNSConfiguration          // before what the networks and the host say
	ExtraHosts       []ExtraHost
	Ports            []PublishedPort
	PublishAll       bool // the ports that the image exposes too, on chosen host ports
	Resources        Resources
	CapabilitiesAdd  []string
	CapabilitiesDrop []string
	ReadOnly         bool
	Init             bool
	AutoRemove       bool
	Runtime          string // empty: the default
	StopSignal       string
	StopTimeout      *time.Duration // nil: the default
	Log              LogLimits
}
