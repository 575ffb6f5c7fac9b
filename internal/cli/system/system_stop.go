package system

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/engine"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/layout"
)

// exitTimeout is how long patchbayd may take to exit after it has said that all
// is stopped.
const exitTimeout = 30 * time.Second

func newSystemStop(f *frame.Frame) *cobra.Command {
	var timeout frame.TimeoutFlag
	c := &cobra.Command{
		Use:   "stop [FLAGS]",
		Short: "Stop all containers and networks, and patchbayd",
		Long: `Stop all containers and networks, remove what they made on the host, and end
patchbayd. Configuration, images and what containers wrote stay. If patchbayd is
not running, that is fine.`,
		Example: `  patchbay system stop
  patchbay system stop -t 2`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			roots := f.Roots()
			if err := f.Usage(); err != nil {
				return err
			}
			return runSystemStop(c.Context(), f, roots, timeout)
		},
	}
	timeout.Bind(f, c)
	return c
}

func runSystemStop(ctx context.Context, f *frame.Frame, roots layout.Roots, timeout frame.TimeoutFlag) error {
	api, err := f.Connect(ctx, roots)
	if errdefs.IsUnavailable(err) {
		_, err := fmt.Fprintln(f.Stdout, "patchbayd is not running")
		return err
	}
	if err != nil {
		return err
	}
	defer api.Close()
	server, err := engine.Open(ctx, roots)
	if err != nil {
		return err
	}
	defer server.Close()

	request := &apiserverv1.ShutdownRequest{}
	if timeout.Given {
		request.StopTimeoutSeconds = max(1, uint32(math.Ceil(timeout.Value.Seconds())))
	}
	answer, err := api.System.Shutdown(ctx, request)
	if err != nil && !errdefs.IsUnavailable(err) {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, exitTimeout)
	defer cancel()
	if exitErr := server.WaitExit(wait); exitErr != nil {
		return errors.Join(err, exitErr)
	}
	if err != nil {
		return fmt.Errorf("patchbayd ended before it said that all is stopped: %w", err)
	}
	var faults []error
	for _, fault := range answer.GetFaults() {
		faults = append(faults, errors.New(fault))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	_, err = fmt.Fprintln(f.Stdout, "patchbayd has stopped")
	return err
}
