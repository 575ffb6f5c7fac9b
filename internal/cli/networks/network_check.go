package networks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

func newNetworkCheck(f *frame.Frame) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use:   "check [FLAGS] [NAME...]",
		Short: "Compare what networks should have on the host with what there is",
		Long: `Compare what networks should have on the host with what there is: links, their
addresses, rules of the packet filter, settings of the kernel, files of leases.
Each plugin looks at what is its own. Without NAME, all networks are checked.

With --repair, plugins put right what they can. Containers stay attached and
their connections go on. The exit code is 1 where something is wrong and stays so.`,
		Example: `  patchbay network check
  patchbay network check web --repair`,
		Args:              f.AtLeast(0, "NAMEs of networks"),
		ValidArgsFunction: f.CompleteNetworks(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runNetworkCheck(ctx, api.Networks, f.Stdout, args, o)
		}),
	}
	f.FormatFlag(c, &o.format, output.FormatTable)
	c.Flags().BoolVar(&o.repair, "repair", false, "put right what is wrong")
	return c
}

type checkOptions struct {
	format output.Format
	repair bool
}

type networkChecker interface {
	networkLister
	Check(context.Context, *apiserverv1.NetworkServiceCheckRequest) (*apiserverv1.NetworkServiceCheckResponse, error)
}

// checkedNetwork is what is shown of a network.
type checkedNetwork struct {
	Network string `json:"network"`
	resource.NetworkCheck
	Unchecked string `json:"unchecked,omitempty"` // why its plugin cannot tell
}

// runNetworkCheck checks the networks of these names, or all. Among all, one whose plugin
// cannot compare is shown as that; one that was named is an error then.
func runNetworkCheck(ctx context.Context, api networkChecker, out io.Writer, names []string, o checkOptions) error {
	all := len(names) == 0
	if all {
		answer, err := api.List(ctx, &apiserverv1.NetworkServiceListRequest{})
		if err != nil {
			return err
		}
		for _, n := range answer.GetNetworks() {
			names = append(names, n.GetMetadata().GetName())
		}
	}
	var wrong []string
	check := frame.Inspection[checkedNetwork]{
		Get: func(ctx context.Context, name string) (checkedNetwork, error) {
			answer, err := api.Check(ctx, &apiserverv1.NetworkServiceCheckRequest{Name: name, Repair: o.repair})
			if all && errdefs.IsNotImplemented(err) {
				return checkedNetwork{Network: name, Unchecked: wire.Text(err)}, nil
			}
			if len(answer.GetFaults()) > 0 {
				wrong = append(wrong, name)
			}
			return checkedNetwork{Network: name, NetworkCheck: resource.NetworkCheck{Faults: answer.GetFaults(), Repaired: answer.GetRepaired()}}, err
		},
		Table: checkTable,
	}
	err := check.Run(ctx, out, names, o.format)
	switch {
	case len(wrong) == 0:
		return err
	case o.repair:
		return errors.Join(err, fmt.Errorf("network %s: something is wrong that its plugin cannot put right", strings.Join(wrong, ", network ")))
	}
	return errors.Join(err, fmt.Errorf("network %s: not as it should be; --repair puts right what its plugin can", strings.Join(wrong, ", network ")))
}

// checkTable has a row for each fault, and one for a network without any.
func checkTable(networks []checkedNetwork) *output.Table {
	t := output.NewTable("NETWORK", "RESULT", "WHAT")
	for _, n := range networks {
		for _, fault := range n.Repaired {
			t.Add(n.Network, "repaired", fault)
		}
		for _, fault := range n.Faults {
			t.Add(n.Network, "wrong", fault)
		}
		switch {
		case n.Unchecked != "":
			t.Add(n.Network, "not checked", n.Unchecked)
		case len(n.Faults)+len(n.Repaired) == 0:
			t.Add(n.Network, "ok", "")
		}
	}
	return t
}
