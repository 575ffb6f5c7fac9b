package system

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/engine"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/layout"
)

type systemStartOptions struct {
	timeout time.Duration
	config  string
}

func newSystemStart(f *frame.Frame) *cobra.Command {
	o := systemStartOptions{timeout: 30 * time.Second}
	c := &cobra.Command{
		Use:   "start [FLAGS]",
		Short: "Start patchbayd in the background, where systemd does not",
		Long: `Start patchbayd in the background and return when it is ready. It is found beside
this program, else in PATH. If it is running already, that is fine.

Where systemd runs patchbayd, "systemctl start patchbayd" is the way.`,
		Example: `  patchbay system start
  PATCHBAY_ROOT=/tmp/a/root PATCHBAY_RUN_ROOT=/tmp/a/run patchbay system start`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			roots := f.Roots()
			if err := f.Usage(); err != nil {
				return err
			}
			if os.Geteuid() != 0 {
				return fmt.Errorf("system start: user %d may not start patchbayd, want root%w", os.Geteuid(), frame.Quiet(errdefs.ErrPermissionDenied))
			}
			return runSystemStart(c.Context(), f.Stdout, roots, o)
		},
	}
	c.Flags().Var(frame.CheckedDefault(f, &o.timeout, "time", parse.Timeout, "30s"),
		"timeout", "time for it to get ready in")
	c.Flags().StringVar(&o.config, "config", "", fmt.Sprintf("its configuration file (default $%s, else %s)", layout.ConfigVariable, layout.ConfigPath))
	return c
}

func runSystemStart(ctx context.Context, out io.Writer, roots layout.Roots, o systemStartOptions) error {
	if pid, ok := engine.Running(ctx, roots); ok {
		_, err := fmt.Fprintf(out, "patchbayd is running already (process %d)\n", pid)
		return err
	}
	binary, err := engine.Find()
	if err != nil {
		return err
	}
	pid, err := engine.Start(ctx, engine.Config{Roots: roots, Binary: binary, ConfigFile: o.config, Timeout: o.timeout})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "patchbayd is running (process %d)\n", pid)
	return err
}
