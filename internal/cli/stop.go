package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/parse"
)

// timeoutFlag is a time span that may be left out.
type timeoutFlag struct {
	value time.Duration
	given bool
}

func (t *timeoutFlag) bind(f *frame, c *cobra.Command) {
	c.Flags().VarP(checked(f, t, "time", func(s string) (timeoutFlag, error) {
		d, err := parse.Timeout(s)
		return timeoutFlag{value: d, given: true}, err
	}), "timeout", "t", "time to end in before it is killed (default: the container's)")
}

func (t *timeoutFlag) proto() *durationpb.Duration {
	if !t.given {
		return nil
	}
	return durationpb.New(t.value)
}

func newStop(f *frame) *cobra.Command {
	var timeout timeoutFlag
	c := &cobra.Command{
		Use:   "stop [FLAGS] NAME...",
		Short: "Ask containers to end, and kill those that do not",
		Long: `Send each container its stop signal and, after the timeout, SIGKILL. A container
that is not running is not an error.`,
		Example: `  patchbay stop web
  patchbay stop -t 1 web db`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runStop(c.Context(), api.Containers, f.stdout, args, timeout)
		},
	}
	timeout.bind(f, c)
	return c
}

type stopper interface {
	Stop(context.Context, *apiserverv1.ContainerServiceStopRequest) (*apiserverv1.ContainerServiceStopResponse, error)
}

func runStop(ctx context.Context, api stopper, out io.Writer, names []string, timeout timeoutFlag) error {
	return forEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Stop(ctx, &apiserverv1.ContainerServiceStopRequest{Name: name, Timeout: timeout.proto()})
		return err
	})
}
