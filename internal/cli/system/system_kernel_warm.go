package system

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newSystemKernelWarm(f *frame.Frame) *cobra.Command {
	request := &apiserverv1.WarmKernelRequest{}
	var quiet bool
	c := &cobra.Command{
		Use:   "warm [FLAGS]",
		Short: "Boot a virtual machine for others to start from",
		Long: `Boot a virtual machine and save it, so that containers of its size start without a
boot. It is saved before there is anything of a container in it. Where there is one
already nothing is done. patchbayd does the same in the background when a container
had to wait for a boot.`,
		Example: `  patchbay system kernel warm
  patchbay system kernel warm --memory 2g --cpus 4`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			steps := f.Stderr
			if quiet {
				steps = io.Discard
			}
			return runSystemKernelWarm(ctx, api.System, f.Stdout, steps, request)
		}),
	}
	c.Flags().VarP(frame.Checked(f, &request.MemoryBytes, "size", parse.Memory), "memory", "m", "memory of the containers, like 512m or 2g (default: that of those who name none)")
	c.Flags().Var(frame.Checked(f, &request.NanoCpus, "number", parse.CPUs), "cpus", "processors of the containers, like 1.5 (default: that of those who name none)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}

type kernelWarmer interface {
	WarmKernel(context.Context, *apiserverv1.WarmKernelRequest) (apiserverv1connect.SystemServiceWarmKernelClientStream, error)
}

func runSystemKernelWarm(ctx context.Context, api kernelWarmer, out, steps io.Writer, r *apiserverv1.WarmKernelRequest) error {
	stream, err := api.WarmKernel(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for {
		message, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("patchbayd ended without a saved machine: %w", errdefs.ErrInternal)
		case err != nil:
			return err
		case message.GetTemplate() == nil:
			if _, err := fmt.Fprintln(steps, message.GetStep()); err != nil {
				return err
			}
			continue
		}
		t := viewTemplate(message.GetTemplate())
		_, err = fmt.Fprintf(out, "%d MiB, %d processors, %s: %s on the disk\n", t.MemoryBytes>>20, t.Processors, t.Accelerator, output.Size(t.DiskBytes))
		return err
	}
}
