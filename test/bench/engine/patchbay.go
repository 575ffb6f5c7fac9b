package engine

import (
	"context"
	"fmt"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/test/bench/host"
)

// Patchbay is the one under test, by its command line. Its patchbayd runs already and has
// the image and no networks.
type Patchbay struct {
	At  *host.Host
	API *apiclient.Client // for what is not measured
}

var (
	_ Runner = Patchbay{}
	_ Keeper = Patchbay{}
)

// Name of the engine.
func (Patchbay) Name() string { return "patchbay" }

// Host is where it runs.
func (p Patchbay) Host() *host.Host { return p.At }

func (p Patchbay) do(ctx context.Context, args ...string) error {
	return p.At.Run(ctx, append([]string{"patchbay"}, args...)...)
}

// Up makes the networks: bridges with both families, names and isolation, as is the
// default.
func (p Patchbay) Up(ctx context.Context) error {
	for _, n := range Networks(MostNetworks) {
		if err := p.do(ctx, "network", "create", n); err != nil {
			return err
		}
	}
	return p.do(ctx, "network", "create", open, "--option", "host-access=gateway")
}

// open is the network whose containers reach services of the host.
const open = "open"

// Down deletes the networks.
func (p Patchbay) Down(ctx context.Context) error {
	return p.do(ctx, append([]string{"network", "delete", open}, Networks(MostNetworks)...)...)
}

// Version of patchbayd.
func (p Patchbay) Version(ctx context.Context) (string, error) {
	info, err := p.API.System.Info(ctx, &apiserverv1.InfoRequest{WithoutChecks: true})
	return "patchbay " + info.GetVersion(), err
}

// MostNetworks of Run.
func (Patchbay) MostNetworks() int { return MostNetworks }

func onNetworks(args []string, n int) []string {
	if n == 0 {
		return append(args, "--network", "none")
	}
	for _, name := range Networks(n) {
		args = append(args, "--network", name)
	}
	return args
}

// Run runs "true".
func (p Patchbay) Run(ctx context.Context, networks int) error {
	return p.do(ctx, append(onNetworks([]string{"run", "--rm"}, networks), "box", "true")...)
}

// Start starts a container.
func (p Patchbay) Start(ctx context.Context, b Box) error {
	args := []string{"run", "--detach", "--name", b.Name}
	switch {
	case b.ReachesHost:
		args = append(args, "--network", open)
	case b.Network != "":
		args = append(args, "--network", b.Network)
	default:
		args = onNetworks(args, b.Networks)
	}
	if b.Publish != "" {
		args = append(args, "--publish", b.Publish)
	}
	return p.do(ctx, append(append(args, "box"), waits...)...)
}

// Network makes a network more, which remove deletes.
func (p Patchbay) Network(ctx context.Context, name, option string) (remove func() error, err error) {
	err = p.do(ctx, "network", "create", name, "--option", option)
	return func() error { return p.do(context.WithoutCancel(ctx), "network", "delete", name) }, err
}

// Remove deletes containers.
func (p Patchbay) Remove(ctx context.Context, names ...string) error {
	return p.do(ctx, append([]string{"delete", "--force"}, names...)...)
}

// Process is the main process of a container.
func (p Patchbay) Process(ctx context.Context, name string) (int, error) {
	found, err := p.API.Containers.Get(ctx, &apiserverv1.ContainerServiceGetRequest{Name: name})
	if err != nil {
		return 0, err
	}
	pid := int(found.GetContainer().GetStatus().GetPid())
	if pid == 0 {
		return 0, fmt.Errorf("container %s: has no process: %v", name, found.GetContainer().GetStatus())
	}
	return pid, nil
}

// Helper is the runtime helper of a container, which forwards what nothing else does.
func (p Patchbay) Helper(ctx context.Context, name string) (int, error) {
	found, err := p.API.Containers.Get(ctx, &apiserverv1.ContainerServiceGetRequest{Name: name})
	if err != nil {
		return 0, err
	}
	return int(found.GetContainer().GetStatus().GetHelperPid()), nil
}
