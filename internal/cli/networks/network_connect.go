package networks

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

func newNetworkConnect(f *frame.Frame) *cobra.Command {
	return &cobra.Command{
		Use:   "connect NETWORK[,KEY=VALUE...] CONTAINER",
		Short: "Put a container on one more network, at once if it runs",
		Long: `Put a container on one more network. If it runs, it gets the interface at once,
all or nothing, and its connections by other networks go on; if not, when it
starts. It is on the network from then on, over stops and starts, until it is
disconnected. The keys are those of "patchbay create --network". Without ifname
the interface gets the lowest free name of eth0, eth1, ..., and keeps it. The name
of the interface is written.`,
		Example: `  patchbay network connect data web
  patchbay network connect data,ip=10.1.0.7,alias=db,gateway-priority=1 web`,
		Args:              f.Exactly(2, "a NETWORK and a CONTAINER"),
		ValidArgsFunction: f.CompleteEach(frame.NetworkNames, frame.ContainerNames),
		RunE: func(c *cobra.Command, args []string) error {
			var wish resource.AttachmentConfiguration
			if len(args) > 0 {
				var err error
				if wish, err = parse.Network(args[0]); err == nil {
					err = wish.Validate()
				}
				f.Fault(err)
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runNetworkConnect(c.Context(), api.Containers, f.Stdout, f.Stderr, &apiserverv1.ContainerServiceConnectRequest{
				Name: args[1], Network: wire.AttachmentConfigurationToProto(wish),
			})
		},
	}
}

type connecter interface {
	Connect(context.Context, *apiserverv1.ContainerServiceConnectRequest) (*apiserverv1.ContainerServiceConnectResponse, error)
}

func runNetworkConnect(ctx context.Context, api connecter, out, warnings io.Writer, request *apiserverv1.ContainerServiceConnectRequest) error {
	answer, err := api.Connect(ctx, request)
	if err != nil {
		return err
	}
	frame.Warn(warnings, answer.GetWarnings())
	_, err = fmt.Fprintln(out, answer.GetAttachment().GetInterfaceName())
	return err
}
