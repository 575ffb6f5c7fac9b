// Package engine has the tools that are measured beside one another, each in a host
// of its own and with all of its state below one directory.
package engine

import (
	"context"
	"fmt"

	"patchbay.dev/patchbay/test/bench/host"
)

// Engine is one tool. What it can do beside that is what else it implements.
type Engine interface {
	// Name is one word.
	Name() string
	// Up makes it ready: what runs in the background, an image, networks. An
	// error says why it does not work here.
	Up(ctx context.Context) error
	// Down ends all that it has started and takes its mounts away.
	Down(ctx context.Context) error
	// Version is that of the tool and of what it needs, in one line.
	Version(ctx context.Context) (string, error)
}

// Runner starts a container and waits for its end.
type Runner interface {
	Engine
	// Run runs "true" in a container on the first so many networks, and removes it.
	Run(ctx context.Context, networks int) error
	// MostNetworks is the highest number that Run takes.
	MostNetworks() int
}

// Keeper starts containers that go on.
type Keeper interface {
	Engine
	// Start starts a container that goes on in the background.
	Start(ctx context.Context, b Box) error
	// Remove ends containers at once and deletes them, in one command.
	Remove(ctx context.Context, names ...string) error
	// Process is the main process of a container.
	Process(ctx context.Context, name string) (pid int, err error)
	// Host is where it runs.
	Host() *host.Host
}

// Box is a container that waits.
type Box struct {
	Name     string
	Networks int    // on the first so many
	Publish  string // "HOST-PORT:CONTAINER-PORT", TCP; "": none
	// ReachesHost asks for a way to services of the host, where that is not
	// so for every container. It takes the place of Networks.
	ReachesHost bool
	Network     string // of Patchbay's alone, in the place of Networks; "": those
}

// waits is the command of every box.
var waits = []string{"sleep", "1000000"}

// networks is how many it has where each of them reaches the host.
func (b Box) networks() int {
	if b.ReachesHost {
		return 1
	}
	return b.Networks
}

// MostNetworks is how many networks there are for containers.
const MostNetworks = 4

// Networks are the names of the first n.
func Networks(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
	}
	return names
}

// Place is what an engine is given.
type Place struct {
	Directory string // for all of its state; made by Up
	Rootfs    string // archive of the root file system of the image
	Cgroup    string // control group of all of its containers, such as "/bench-12"
}
