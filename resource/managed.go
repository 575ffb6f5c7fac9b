package resource

import "time"

// Managed is a resource: who it is, what the user asked for, what is true now.
// Configuration is stored; Status is made anew on every read and never stored.
type Managed[C, S any] struct {
	Metadata
	Configuration C `json:"configuration"`
	Status        S `json:"status"`
}

// Metadata is common to all resources.
type Metadata struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	CreatedAt time.Time         `json:"createdAt"`
	Labels    map[string]string `json:"labels,omitempty"`
}

type (
	// Network is the resource; the behaviour behind it is in its plugin.
	Network = Managed[NetworkConfiguration, NetworkStatus]
	// Container is one container.
	Container = Managed[ContainerConfiguration, ContainerStatus]
	// Image is one unpacked image of this host's platform.
	Image = Managed[ImageConfiguration, ImageStatus]
)

// RuntimeLabel is a label of networks: only containers of the runtime that it names
// are let in.
const RuntimeLabel = "patchbay.dev/runtime"
