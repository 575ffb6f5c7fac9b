package running

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
)

// NewKill returns the command "kill".
func NewKill(f *frame.Frame) *cobra.Command {
	var signal string
	c := &cobra.Command{
		Use:   "kill [FLAGS] NAME...",
		Short: "Send containers a signal",
		Example: `  patchbay kill web
  patchbay kill -s HUP web`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			f.Fault(parse.Signal("signal", signal))
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runKill(c.Context(), api.Containers, f.Stdout, args, signal)
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "KILL", "name or number of the signal")
	frame.Complete(c, "signal", "HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2")
	return c
}

type killer interface {
	Kill(context.Context, *apiserverv1.ContainerServiceKillRequest) (*apiserverv1.ContainerServiceKillResponse, error)
}

func runKill(ctx context.Context, api killer, out io.Writer, names []string, signal string) error {
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Kill(ctx, &apiserverv1.ContainerServiceKillRequest{Name: name, Signal: signal})
		return err
	})
}
