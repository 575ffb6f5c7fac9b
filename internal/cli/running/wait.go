package running

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewWait returns the command "wait".
func NewWait(f *frame.Frame) *cobra.Command {
	var deleted bool
	c := &cobra.Command{
		Use:   "wait [FLAGS] NAME...",
		Short: "Wait until containers have ended, and show their exit codes",
		Long: `Wait until containers have ended, and show their exit codes in the order of the
names. One that is not running is not waited for. One that was removed when it
ended ("run --rm") is told of to who waited before that, and not found after.`,
		Example:           `  patchbay wait job`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			condition := apiserverv1.WaitCondition_WAIT_CONDITION_STOPPED
			if deleted {
				condition = apiserverv1.WaitCondition_WAIT_CONDITION_DELETED
			}
			return runWait(ctx, api.Containers, f.Stdout, args, condition)
		}),
	}
	c.Flags().BoolVar(&deleted, "deleted", false, "wait until they are deleted")
	return c
}

func runWait(ctx context.Context, api waiter, out io.Writer, names []string, condition apiserverv1.WaitCondition) error {
	return frame.ForEach(ctx, out, names, func(ctx context.Context, name string) (string, error) {
		answer, err := api.Wait(ctx, &apiserverv1.ContainerServiceWaitRequest{Name: name, Condition: condition})
		return strconv.Itoa(int(answer.GetExitCode())), err
	})
}
