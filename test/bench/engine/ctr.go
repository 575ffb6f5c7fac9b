package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"patchbay.dev/patchbay/test/bench/host"
)

// Ctr is containerd by its own command line, which takes a single CNI network.
type Ctr struct {
	Place
	At      *host.Host
	Plugins string // directory of the CNI plugins

	daemon *host.Daemon
	runs   atomic.Int64
}

var _ Runner = &Ctr{}

// Name of the engine.
func (*Ctr) Name() string { return "ctr + CNI" }

func (c *Ctr) command(args ...string) []string {
	// The name space is also the control group.
	return append([]string{"ctr", "--address", filepath.Join(c.Directory, "sock"), "--namespace", filepath.Base(c.Cgroup)}, args...)
}

func (c *Ctr) do(ctx context.Context, args ...string) error {
	return c.At.Run(ctx, c.command(args...)...)
}

const ctrImage = "localhost/box:latest"

// Up starts containerd, imports the image and writes the network. ctr knows no other
// places of CNI's configuration and plugins than below /etc and /opt.
func (c *Ctr) Up(ctx context.Context) error {
	const configurations, plugins = "/etc/cni/net.d", "/opt/cni"
	if err := os.MkdirAll(c.Directory, 0o755); err != nil {
		return err
	}
	for _, d := range []string{configurations, plugins} {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(c.Plugins, filepath.Join(plugins, "bin")); err != nil {
		return err
	}
	list := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"n1","plugins":[{"type":"bridge","bridge":"cni1","isGateway":true,"ipMasq":true,`+
		`"ipam":{"type":"host-local","ranges":[[{"subnet":"10.81.1.0/24"}]],"dataDir":%q,"routes":[{"dst":"0.0.0.0/0"}]}}]}`, filepath.Join(c.Directory, "addresses"))
	if err := os.WriteFile(filepath.Join(configurations, "10-n1.conflist"), []byte(list), 0o644); err != nil {
		return err
	}
	archive := filepath.Join(c.Directory, "box.tar")
	if err := writeImage(archive, c.Rootfs); err != nil {
		return err
	}
	if err := c.serve(ctx); err != nil {
		return err
	}
	return c.do(ctx, "images", "import", archive)
}

func (c *Ctr) serve(ctx context.Context) error {
	configuration := filepath.Join(c.Directory, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(c.Directory, "root"), filepath.Join(c.Directory, "state"), filepath.Join(c.Directory, "sock"))
	if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
		return err
	}
	daemon, err := c.At.Daemon(ctx, filepath.Join(c.Directory, "log"),
		func(ctx context.Context) error { return c.do(ctx, "version") }, "containerd", "--config", configuration)
	c.daemon = daemon
	return err
}

// writeImage makes an image of a root file system.
func writeImage(path, rootfs string) error {
	layer, err := tarball.LayerFromFile(rootfs)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	// containerd takes no image of an unknown platform.
	if image, err = mutate.ConfigFile(image, platform(image)); err != nil {
		return err
	}
	tag, err := name.NewTag(ctrImage)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}

// platform is the configuration of an image for this machine.
func platform(image v1.Image) *v1.ConfigFile {
	c, err := image.ConfigFile()
	if err != nil {
		c = &v1.ConfigFile{}
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", runtime.GOARCH
	return c
}

// Down ends containerd; Run leaves no containers.
func (c *Ctr) Down(context.Context) error {
	if c.daemon != nil {
		c.daemon.Stop()
	}
	return nil
}

// Version of containerd.
func (c *Ctr) Version(ctx context.Context) (string, error) {
	line, err := firstLine(c.At.Output(ctx, "containerd", "--version"))
	words := strings.Fields(line) // with the name of its module
	if err != nil || len(words) < 3 {
		return line, err
	}
	return "containerd " + words[2], nil
}

// MostNetworks of Run.
func (*Ctr) MostNetworks() int { return 1 }

// Run runs "true".
func (c *Ctr) Run(ctx context.Context, networks int) error {
	args := []string{"run", "--rm"}
	if networks > 0 {
		args = append(args, "--cni")
	}
	return c.do(ctx, append(args, ctrImage, fmt.Sprintf("run%d", c.runs.Add(1)), "true")...)
}
