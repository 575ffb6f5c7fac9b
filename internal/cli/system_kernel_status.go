package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
)

// kernelView is the kernel of virtual machines.
type kernelView struct {
	Release string   `json:"release"`
	Source  string   `json:"source"`
	Digest  string   `json:"digest"`
	Modules []string `json:"modules"`
}

func newSystemKernelStatus(f *frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "status [FLAGS]",
		Short: "Show the kernel that virtual machines boot",
		Example: `  patchbay system kernel status
  patchbay system kernel status --format json`,
		Args: f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runSystemKernelStatus(c.Context(), api.System, f.stdout, format)
		},
	}
	f.formatFlag(c, &format, output.FormatTable)
	return c
}

type kernelGetter interface {
	GetKernel(context.Context, *apiserverv1.GetKernelRequest) (*apiserverv1.GetKernelResponse, error)
}

func runSystemKernelStatus(ctx context.Context, api kernelGetter, out io.Writer, format output.Format) error {
	answer, err := api.GetKernel(ctx, &apiserverv1.GetKernelRequest{})
	if err != nil {
		return err
	}
	k := answer.GetKernel()
	v := kernelView{Release: k.GetRelease(), Source: k.GetSource(), Digest: k.GetDigest(), Modules: some(k.GetModules())}
	if format == output.FormatJSON {
		return output.JSON(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "Release:\t%s\nSource:\t%s\nDigest:\t%s\nModules:\t%s\n", v.Release, v.Source, v.Digest, strings.Join(v.Modules, " "))
	return w.Flush()
}
