package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/test/bench/host"
)

// Podman is podman with netavark and crun.
type Podman struct {
	Place
	At *host.Host
	// Held says that a container which stays holds the networks: podman takes a
	// bridge and its rules away with the last container, and makes them anew.
	Held bool
}

var (
	_ Runner = &Podman{}
	_ Keeper = &Podman{}
)

// HeldPodman is the name of podman with Held.
const HeldPodman = "podman, networks held"

// Name of the engine.
func (p *Podman) Name() string {
	if p.Held {
		return HeldPodman
	}
	return "podman"
}

// Host is where it runs.
func (p *Podman) Host() *host.Host { return p.At }

func (p *Podman) command(args ...string) []string {
	d := p.Directory
	return append([]string{
		"podman", "--root", filepath.Join(d, "store"), "--runroot", filepath.Join(d, "run"), "--tmpdir", filepath.Join(d, "tmp"),
		"--network-config-dir", filepath.Join(d, "networks"), "--network-backend", "netavark", "--runtime", "crun",
		// There may be no systemd to make control groups, and no journal.
		"--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "overlay", "--log-level", "error",
	}, args...)
}

func (p *Podman) do(ctx context.Context, args ...string) error {
	return p.At.Run(ctx, p.command(args...)...)
}

// Up imports the image and makes the networks, with names as is its default.
func (p *Podman) Up(ctx context.Context) error {
	if err := os.MkdirAll(p.Directory, 0o755); err != nil {
		return err
	}
	if err := p.do(ctx, "import", "--quiet", p.Rootfs, podmanImage); err != nil {
		return err
	}
	for i, n := range Networks(MostNetworks) {
		if err := p.do(ctx, "network", "create", "--subnet", fmt.Sprintf("10.77.%d.0/24", i+1), n); err != nil {
			return err
		}
	}
	if p.Held {
		return p.Start(ctx, Box{Name: "holder", Networks: MostNetworks})
	}
	return nil
}

const podmanImage = "localhost/box:latest"

// Down removes containers and unmounts the store.
func (p *Podman) Down(ctx context.Context) error {
	err := p.do(ctx, "rm", "--force", "--all", "--time", "0")
	if e := unix.Unmount(filepath.Join(p.Directory, "store", "overlay"), 0); e != nil && !errors.Is(e, unix.EINVAL) && !errors.Is(e, unix.ENOENT) {
		err = errors.Join(err, fmt.Errorf("unmount the store of podman: %w", e))
	}
	return err
}

// Version of podman and netavark.
func (p *Podman) Version(ctx context.Context) (string, error) {
	version, err := p.At.Output(ctx, p.command("version", "--format", "{{.Client.Version}}")...)
	return "podman " + version, err
}

// MostNetworks of Run.
func (*Podman) MostNetworks() int { return MostNetworks }

// flags are those of every container: its networks, its control group, and
// limits that may be set without CAP_SYS_RESOURCE.
func (p *Podman) flags(n int) []string {
	var files unix.Rlimit
	limit := "1048576"
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		limit = strconv.FormatUint(files.Max, 10)
	}
	list := strings.Join(Networks(n), ",")
	if n == 0 {
		list = "none"
	}
	return []string{"--network", list, "--cgroup-parent", p.Cgroup, "--ulimit", "nofile=" + limit + ":" + limit, "--ulimit", "nproc=30000:30000"}
}

// Run runs "true".
func (p *Podman) Run(ctx context.Context, networks int) error {
	args := append([]string{"run", "--rm"}, p.flags(networks)...)
	return p.do(ctx, append(args, podmanImage, "true")...)
}

// Start starts a container.
func (p *Podman) Start(ctx context.Context, b Box) error {
	args := append([]string{"run", "--detach", "--name", b.Name}, p.flags(b.networks())...)
	if b.Publish != "" {
		args = append(args, "--publish", b.Publish)
	}
	return p.do(ctx, append(append(args, podmanImage), waits...)...)
}

// Remove deletes containers.
func (p *Podman) Remove(ctx context.Context, names ...string) error {
	return p.do(ctx, append([]string{"rm", "--force", "--time", "0"}, names...)...)
}

// Process is the main process of a container.
func (p *Podman) Process(ctx context.Context, name string) (int, error) {
	return number(p.At.Output(ctx, p.command("inspect", "--format", "{{.State.Pid}}", name)...))
}
