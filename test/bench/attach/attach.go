// Package attach has tools that attach an existing network namespace to one network
// and detach it again, each in a host of its own.
package attach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/bench/host"
)

// Tool is one of them.
type Tool interface {
	Name() string
	// Up makes the network and holds it by a namespace that stays on it, so
	// that no attachment pays for making a bridge.
	Up(ctx context.Context) error
	// Attach gives a namespace an interface of that name on the network.
	Attach(ctx context.Context, inside *netns.Namespace, name string) error
	// Detach takes it away.
	Detach(ctx context.Context, inside *netns.Namespace, name string) error
	// Version in one line.
	Version(ctx context.Context) (string, error)
}

// hold makes the namespace that stays on a network; the interface has a name of
// its own.
func hold(ctx context.Context, t Tool) error {
	holder, err := netns.New()
	if err != nil {
		return err
	}
	return errors.Join(t.Attach(ctx, holder, "held0"), holder.Close())
}

// exchange runs a program with an input in a host.
func exchange(ctx context.Context, at *host.Host, input string, environment []string, command ...string) (string, error) {
	var out, faults bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &faults
	if err := host.Start(at.Inside(), cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", filepath.Base(command[0]), err, &faults, &out)
	}
	return out.String(), nil
}

// Netavark is podman's network tool, called as podman does.
type Netavark struct {
	At        *host.Host
	Directory string // for its state
	Program   string
}

// Name of the tool.
func (*Netavark) Name() string { return "netavark" }

// Up makes the network.
func (n *Netavark) Up(ctx context.Context) error {
	if err := os.MkdirAll(n.Directory, 0o755); err != nil {
		return err
	}
	return hold(ctx, n)
}

// Attach by "setup".
func (n *Netavark) Attach(ctx context.Context, inside *netns.Namespace, name string) error {
	return n.call(ctx, "setup", inside, name)
}

// Detach by "teardown".
func (n *Netavark) Detach(ctx context.Context, inside *netns.Namespace, name string) error {
	return n.call(ctx, "teardown", inside, name)
}

func (n *Netavark) call(ctx context.Context, verb string, inside *netns.Namespace, name string) error {
	container, address := strings.Repeat("7", 64), "10.84.1.9"
	if name == "held0" {
		container, address = strings.Repeat("8", 64), "10.84.1.8"
	}
	request := fmt.Sprintf(`{"container_id":%q,"container_name":"box","port_mappings":[],`+
		`"networks":{"n1":{"static_ips":[%q],"interface_name":%q,"aliases":[]}},`+
		`"network_info":{"n1":{"name":"n1","id":%q,"driver":"bridge","network_interface":"nv1","subnets":[{"subnet":"10.84.1.0/24","gateway":"10.84.1.1"}],`+
		`"ipv6_enabled":false,"internal":false,"dns_enabled":false,"ipam_options":{"driver":"host-local"}}}}`,
		container, address, name, strings.Repeat("1", 64))
	_, err := exchange(ctx, n.At, request, nil, n.Program, "--config", n.Directory, verb, host.Path(inside))
	return err
}

// Version of netavark.
func (n *Netavark) Version(ctx context.Context) (string, error) {
	return n.At.Output(ctx, n.Program, "--version")
}

// CNI is the plugin "bridge" with "host-local" and masquerade, called as engines do.
type CNI struct {
	At        *host.Host
	Directory string // for its state
	Plugins   string // directory of the plugins
}

// Name of the tool.
func (*CNI) Name() string { return "CNI bridge" }

// Up makes the network.
func (c *CNI) Up(ctx context.Context) error { return hold(ctx, c) }

// Attach by "ADD".
func (c *CNI) Attach(ctx context.Context, inside *netns.Namespace, name string) error {
	return c.call(ctx, "ADD", inside, name)
}

// Detach by "DEL".
func (c *CNI) Detach(ctx context.Context, inside *netns.Namespace, name string) error {
	return c.call(ctx, "DEL", inside, name)
}

func (c *CNI) call(ctx context.Context, verb string, inside *netns.Namespace, name string) error {
	request := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"n1","type":"bridge","bridge":"cni1","isGateway":true,"ipMasq":true,`+
		`"ipam":{"type":"host-local","ranges":[[{"subnet":"10.83.1.0/24"}]],"dataDir":%q,"routes":[{"dst":"0.0.0.0/0"}]}}`, c.Directory)
	_, err := exchange(ctx, c.At, request, []string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=box-" + name, "CNI_NETNS=" + host.Path(inside), "CNI_IFNAME=" + name, "CNI_PATH=" + c.Plugins,
	}, filepath.Join(c.Plugins, "bridge"))
	return err
}

// Version of the plugin, which it tells on standard error alone.
func (c *CNI) Version(ctx context.Context) (string, error) {
	out, err := exchange(ctx, c.At, "", nil, "sh", "-c", filepath.Join(c.Plugins, "bridge")+" 2>&1 </dev/null || true")
	line, _, _ := strings.Cut(out, "\n")
	return line, err
}
