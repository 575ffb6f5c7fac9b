package system

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/version"
)

type versionsView struct {
	Client buildView  `json:"client"`
	Server *buildView `json:"server,omitempty"` // absent: patchbayd is not running
}

type buildView struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go,omitempty"`
}

func newSystemVersion(f *frame.Frame) *cobra.Command { return versionCommand(f) }

// NewVersion is system version at the top.
func NewVersion(f *frame.Frame) *cobra.Command { return versionCommand(f) }

func versionCommand(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:     "version [FLAGS]",
		Short:   "Show the versions of patchbay and of the patchbayd that is running",
		Example: `  patchbay version --format json`,
		Args:    f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			var system informer
			api, err := f.Dial(c.Context())
			if usage := f.Usage(); usage != nil {
				return usage
			}
			if err == nil {
				defer api.Close()
				system = api.System
			}
			return runVersion(c.Context(), system, f.Stdout, format)
		},
	}
	f.FormatFlag(c, &format, output.FormatTable)
	return c
}

// runVersion shows this program's version, and the server's where there is one:
// system is nil if not.
func runVersion(ctx context.Context, system informer, out io.Writer, format output.Format) error {
	v := versionsView{Client: buildView{Version: version.Version(), Revision: version.Revision(), Go: runtime.Version()}}
	if system != nil {
		info, err := system.Info(ctx, &apiserverv1.InfoRequest{WithoutChecks: true})
		if err != nil {
			return err
		}
		v.Server = &buildView{Version: info.GetVersion(), Revision: info.GetRevision()}
	}
	if format == output.FormatJSON {
		return output.JSON(out, v)
	}
	server := "patchbayd is not running"
	if v.Server != nil {
		server = fmt.Sprintf("patchbayd %s (%s)", v.Server.Version, v.Server.Revision)
	}
	_, err := fmt.Fprintf(out, "patchbay %s (%s, %s)\n%s\n", v.Client.Version, v.Client.Revision, v.Client.Go, server)
	return err
}
