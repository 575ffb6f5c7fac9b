package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"patchbay.dev/patchbay/test/bench/host"
)

// Docker is dockerd with a containerd of its own.
type Docker struct {
	Place
	At *host.Host

	daemon *host.Daemon
}

var (
	_ Runner = &Docker{}
	_ Keeper = &Docker{}
)

// dockerProgram is Debian's: another one of that name may come before it.
const dockerProgram = "/usr/bin/docker"

// Name of the engine.
func (*Docker) Name() string { return "docker" }

// Host is where it runs.
func (d *Docker) Host() *host.Host { return d.At }

func (d *Docker) socket() string { return "unix://" + filepath.Join(d.Directory, "sock") }

func (d *Docker) command(args ...string) []string {
	return append([]string{dockerProgram, "--host", d.socket()}, args...)
}

func (d *Docker) do(ctx context.Context, args ...string) error {
	return d.At.Run(ctx, d.command(args...)...)
}

// Up starts dockerd, imports the image and makes the networks.
func (d *Docker) Up(ctx context.Context) error {
	if err := os.MkdirAll(d.Directory, 0o755); err != nil {
		return err
	}
	configuration := filepath.Join(d.Directory, "daemon.json") // not the host's
	if err := os.WriteFile(configuration, []byte("{}"), 0o644); err != nil {
		return err
	}
	daemon, err := d.At.Daemon(ctx, filepath.Join(d.Directory, "log"),
		func(ctx context.Context) error { return d.do(ctx, "version") },
		"dockerd", "--host", d.socket(), "--config-file", configuration,
		"--data-root", filepath.Join(d.Directory, "data"), "--exec-root", filepath.Join(d.Directory, "exec"), "--pidfile", filepath.Join(d.Directory, "pid"),
		"--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", d.Cgroup)
	if err != nil {
		return err
	}
	d.daemon = daemon
	if err := d.do(ctx, "import", d.Rootfs, "box:latest"); err != nil {
		return err
	}
	for _, n := range Networks(MostNetworks) {
		if err := d.do(ctx, "network", "create", n); err != nil {
			return err
		}
	}
	return nil
}

// Down removes the containers and ends dockerd.
func (d *Docker) Down(ctx context.Context) error {
	if d.daemon == nil {
		return nil
	}
	defer d.daemon.Stop()
	all, err := d.At.Output(ctx, d.command("ps", "--all", "--quiet")...)
	if err != nil || all == "" {
		return err
	}
	return d.Remove(ctx, strings.Fields(all)...)
}

// Version of dockerd and of its containerd.
func (d *Docker) Version(ctx context.Context) (string, error) {
	version, err := d.At.Output(ctx, d.command("version", "--format", "{{.Server.Version}}")...)
	return "docker " + version, err
}

// MostNetworks of Run.
func (*Docker) MostNetworks() int { return MostNetworks }

// Run runs "true". It takes one network on the command line only, and more have to
// be connected between the creation and the start.
func (d *Docker) Run(ctx context.Context, n int) error {
	if n < 2 {
		return d.do(ctx, "run", "--rm", "--network", first(n), "box", "true")
	}
	const name = "run"
	if err := d.do(ctx, "create", "--name", name, "--network", first(n), "box", "true"); err != nil {
		return err
	}
	for _, network := range Networks(n)[1:] {
		if err := d.do(ctx, "network", "connect", network, name); err != nil {
			return err
		}
	}
	if err := d.do(ctx, "start", "--attach", name); err != nil {
		return err
	}
	return d.do(ctx, "rm", name)
}

func first(n int) string {
	if n == 0 {
		return "none"
	}
	return Networks(1)[0]
}

// Start starts a container, and connects it to what is more than one network.
func (d *Docker) Start(ctx context.Context, b Box) error {
	args := []string{"run", "--detach", "--name", b.Name, "--network", first(b.networks())}
	if b.Publish != "" {
		args = append(args, "--publish", b.Publish)
	}
	if err := d.do(ctx, append(append(args, "box"), waits...)...); err != nil {
		return err
	}
	for i := 1; i < b.Networks; i++ {
		if err := d.do(ctx, "network", "connect", Networks(b.Networks)[i], b.Name); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes containers.
func (d *Docker) Remove(ctx context.Context, names ...string) error {
	return d.do(ctx, append([]string{"rm", "--force"}, names...)...)
}

// Process is the main process of a container.
func (d *Docker) Process(ctx context.Context, name string) (int, error) {
	return number(d.At.Output(ctx, d.command("inspect", "--format", "{{.State.Pid}}", name)...))
}
