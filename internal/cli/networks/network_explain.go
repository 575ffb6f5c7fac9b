package networks

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

func newNetworkExplain(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "explain [FLAGS] CONTAINER [ADDRESS|NAME]",
		Short: "Show which way the packets of a container take, and why",
		Long: `Show which way the packets of a running container take to an address, or to a
name that its networks know: source address, rule, route, gateway, interface,
network, plugin and the verdict of its firewall, each with its reason. Without
ADDRESS or NAME, the way to each of its networks and to the internet. The kernel
and the plugins are asked; nothing is sent.`,
		Example: `  patchbay network explain app
  patchbay network explain app 192.0.2.7
  patchbay network explain app db --format json`,
		Args:              f.Between(1, 2, "a CONTAINER, and at most an ADDRESS or NAME"),
		ValidArgsFunction: f.CompleteContainers(1),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			request := &apiserverv1.ContainerServiceExplainRequest{Name: args[0]}
			if len(args) > 1 {
				request.Target = args[1]
			}
			return runNetworkExplain(ctx, api.Containers, f.Stdout, request, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatTable)
	return c
}

type explainer interface {
	Explain(context.Context, *apiserverv1.ContainerServiceExplainRequest) (*apiserverv1.ContainerServiceExplainResponse, error)
}

func runNetworkExplain(ctx context.Context, api explainer, out io.Writer, request *apiserverv1.ContainerServiceExplainRequest, format output.Format) error {
	answer, err := api.Explain(ctx, request)
	if err != nil {
		return err
	}
	explanations, err := wire.ExplanationsFromProto(answer.GetExplanations())
	if err != nil {
		return err
	}
	if format == output.FormatJSON {
		return output.JSON(out, frame.Some(explanations))
	}
	return explanationSheet(explanations).Write(out)
}

// explanationSheet shows explanations to people, one after the other.
func explanationSheet(explanations []resource.Explanation) *output.Sheet {
	s := &output.Sheet{}
	for _, e := range explanations {
		headline := e.Target
		if e.Address.IsValid() && e.Address.String() != e.Target {
			headline += " (" + e.Address.String() + ")"
		}
		s.Headline(headline)
		row := func(what string, x resource.Explained) {
			if x != (resource.Explained{}) {
				s.Row(what, x.Answer, x.Why)
			}
		}
		for _, n := range e.Names {
			row("name", n)
		}
		row("source", e.Source)
		row("rule", e.Rule)
		row("route", e.Route)
		row("gateway", e.Gateway)
		row("interface", e.Interface)
		row("network", e.Network)
		row("plugin", e.Plugin)
		row("firewall", e.Firewall)
	}
	return s
}
