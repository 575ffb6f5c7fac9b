package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/engine"
	"patchbay.dev/patchbay/internal/cli/frame"
)

func newSystemLogs(f *frame.Frame) *cobra.Command {
	var o engine.LogOptions
	c := &cobra.Command{
		Use:   "logs [FLAGS]",
		Short: "Show the log of patchbayd",
		Long: `Show the log of the patchbayd that "patchbay system start" started. Where systemd
runs it, "journalctl -u patchbayd" shows the log.`,
		Example: `  patchbay system logs -n 50
  patchbay system logs -f`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			path := f.Roots().DaemonLog()
			if err := f.Usage(); err != nil {
				return err
			}
			return runSystemLogs(c.Context(), f.Stdout, path, o)
		},
	}
	c.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on until interrupted")
	frame.BindTail(f, c, &o.Tail)
	return c
}

func runSystemLogs(ctx context.Context, out io.Writer, path string, o engine.LogOptions) error {
	err := engine.ReadLog(ctx, out, path, o)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("patchbayd has no log at %s: systemd keeps it (journalctl -u patchbayd), or it was never started%w",
			path, frame.Quiet(errdefs.ErrNotFound))
	}
	return err
}
