package networks

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newNetworkDisconnect(f *frame.Frame) *cobra.Command {
	request := &apiserverv1.ContainerServiceDisconnectRequest{}
	c := &cobra.Command{
		Use:   "disconnect [FLAGS] NETWORK|INTERFACE CONTAINER",
		Short: "Take a container off a network, at once if it runs",
		Long: `Take a container off a network: its interface goes with its routes, then its
address is free. Connections by other networks go on; the default route goes to
the network that is next by gateway priority. A container that is on the network
more than once needs the name of the interface. The last network may go too.`,
		Example: `  patchbay network disconnect data web
  patchbay network disconnect eth2 web`,
		Args:              f.Exactly(2, "a NETWORK or INTERFACE, and a CONTAINER"),
		ValidArgsFunction: f.CompleteEach(frame.NetworkNames, frame.ContainerNames),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			request.Network, request.Name = args[0], args[1]
			return runNetworkDisconnect(ctx, api.Containers, request)
		}),
	}
	c.Flags().BoolVarP(&request.Force, "force", "f", false, "even if the container's runtime does not answer; its interface then stays until it ends")
	return c
}

type disconnecter interface {
	Disconnect(context.Context, *apiserverv1.ContainerServiceDisconnectRequest) (*apiserverv1.ContainerServiceDisconnectResponse, error)
}

func runNetworkDisconnect(ctx context.Context, api disconnecter, request *apiserverv1.ContainerServiceDisconnectRequest) error {
	_, err := api.Disconnect(ctx, request)
	return err
}
