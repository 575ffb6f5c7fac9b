package containers

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/resource"
)

// NewPort returns the command "port".
func NewPort(f *frame.Frame) *cobra.Command {
	c := &cobra.Command{
		Use:   "port CONTAINER [PORT[/PROTOCOL]]",
		Short: "Show the ports that a container publishes",
		Long: `Show where on the host the ports of a container are published, or one of them.
They are the same each time it runs; while it does not, nobody answers there.`,
		Example: `  patchbay port web
  patchbay port web 80
  patchbay port dns 53/udp`,
		Args:              f.Between(1, 2, "a CONTAINER, and at most a PORT"),
		ValidArgsFunction: f.CompleteContainers(1),
		RunE: func(c *cobra.Command, args []string) error {
			query := ""
			if len(args) > 1 {
				query = args[1]
				_, _, err := parse.PortQuery(query)
				f.Fault(err)
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runPort(c.Context(), api.Containers, f.Stdout, args[0], query)
		},
	}
	return c
}

// runPort shows all published ports for an empty query.
func runPort(ctx context.Context, api Getter, out io.Writer, name, query string) error {
	c, err := Get(ctx, api, name)
	if err != nil {
		return err
	}
	var rows []string
	if query == "" {
		for _, p := range c.Configuration.Ports {
			for _, host := range hostSides(p) {
				rows = append(rows, fmt.Sprintf("%d/%s -> %s", p.ContainerPort, p.Protocol, host))
			}
		}
		return frame.Lines(out, rows)
	}
	number, protocol, err := parse.PortQuery(query)
	if err != nil {
		return err
	}
	for _, p := range c.Configuration.Ports {
		if p.ContainerPort == number && p.Protocol == protocol {
			rows = append(rows, hostSides(p)...)
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("container %s: does not publish port %d/%s: %w", c.Name, number, protocol, errdefs.ErrNotFound)
	}
	return frame.Lines(out, rows)
}

// hostSides are where a port is on the host, of each family.
func hostSides(p resource.PublishedPort) []string {
	addresses := []netip.Addr{p.HostAddress}
	if !p.HostAddress.IsValid() {
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = netip.AddrPortFrom(a, p.HostPort).String()
	}
	return out
}

// appendPorts shows ports in few words: "8080->80/tcp,9000-9010->9000-9010/udp".
func appendPorts(out []byte, ports []resource.PublishedPort) []byte {
	for i := 0; i < len(ports); {
		first, n := ports[i], 1
		for i+n < len(ports) && ports[i+n] == after(first, n) {
			n++
		}
		if i > 0 {
			out = append(out, ',')
		}
		if first.HostAddress.IsValid() || first.HostPortEnd != 0 {
			host, _, _ := strings.Cut(first.Host(), "/")
			out = append(out, host...)
		} else {
			out = strconv.AppendUint(out, uint64(first.HostPort), 10)
		}
		out = appendUpTo(out, first.HostPort, n)
		out = append(out, "->"...)
		out = appendUpTo(strconv.AppendUint(out, uint64(first.ContainerPort), 10), first.ContainerPort, n)
		out = append(append(out, '/'), first.Protocol...)
		i += n
	}
	return out
}

// after is the port n places behind in a range.
func after(p resource.PublishedPort, n int) resource.PublishedPort {
	p.HostPort += uint16(n)
	p.ContainerPort += uint16(n)
	return p
}

func appendUpTo(out []byte, first uint16, n int) []byte {
	if n == 1 {
		return out
	}
	return strconv.AppendInt(append(out, '-'), int64(first)+int64(n)-1, 10)
}
