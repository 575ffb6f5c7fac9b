package networks

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire/apiwire"
)

func newNetworkList(f *frame.Frame) *cobra.Command {
	var o frame.ListOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls"},
		Short:   "List networks",
		Example: `  patchbay network list
  patchbay network list --format json`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runNetworkList(ctx, api.Networks, f.Stdout, o)
		}),
	}
	o.Bind(f, c, "names")
	return c
}

type networkLister interface {
	List(context.Context, *apiserverv1.NetworkServiceListRequest) (*apiserverv1.NetworkServiceListResponse, error)
}

func runNetworkList(ctx context.Context, api networkLister, out io.Writer, o frame.ListOptions) error {
	answer, err := api.List(apiclient.InPieces(ctx), &apiserverv1.NetworkServiceListRequest{})
	if err != nil {
		return err
	}
	table := newNetworkTable(time.Now(), o.NoTrunc)
	return frame.Sequence[*apiserverv1.Network]{
		Items: frame.EachPart(message.Parts(answer), (*apiserverv1.NetworkServiceListResponse).GetNetworks),
		Whole: func(one *apiserverv1.Network) (any, error) {
			n, err := apiwire.NetworkFromProto(one)
			return &n, err
		},
		Quiet: func(n *apiserverv1.Network) string { return n.GetMetadata().GetName() },
		Table: table.Table,
		Row: func(one *apiserverv1.Network) error {
			n, err := apiwire.NetworkFromProto(one)
			if err == nil {
				table.addNetwork(&n)
			}
			return err
		},
	}.Show(out, o)
}
