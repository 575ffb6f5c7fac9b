package system

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
)

// statusView is whether patchbayd runs, and how it does.
type statusView struct {
	Running           bool       `json:"running"`
	PID               int64      `json:"pid,omitempty"`
	Version           string     `json:"version,omitempty"`
	StartedAt         *time.Time `json:"startedAt,omitempty"`
	Root              string     `json:"root"`
	RunRoot           string     `json:"runRoot"`
	ContainersRunning uint32     `json:"containersRunning"`
	ContainersStopped uint32     `json:"containersStopped"`
	Networks          uint32     `json:"networks"`
}

func newSystemStatus(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "status [FLAGS]",
		Short: "Say whether patchbayd is running",
		Long:  `Say whether patchbayd is running. The exit code is 0 if it is, and 3 if not.`,
		Example: `  patchbay system status
  patchbay system status --format json`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			roots := f.Roots()
			api, err := f.Dial(c.Context())
			if errdefs.IsUnavailable(err) {
				view := statusView{Root: roots.Root, RunRoot: roots.RunRoot}
				if err := showStatus(f.Stdout, view, format); err != nil {
					return err
				}
				return &frame.ExitError{Code: frame.ExitNotRunning, Err: err}
			}
			if err != nil {
				return err
			}
			defer api.Close()
			return runSystemStatus(c.Context(), api.System, f.Stdout, format)
		},
	}
	f.FormatFlag(c, &format, output.FormatTable)
	return c
}

type informer interface {
	Info(context.Context, *apiserverv1.InfoRequest) (*apiserverv1.InfoResponse, error)
}

func runSystemStatus(ctx context.Context, api informer, out io.Writer, format output.Format) error {
	info, err := api.Info(ctx, &apiserverv1.InfoRequest{WithoutChecks: true})
	if err != nil {
		return errors.Join(errors.New("patchbayd does not answer as it should"), err)
	}
	started := info.GetStartedAt().AsTime()
	return showStatus(out, statusView{
		Running: true, PID: info.GetPid(), Version: info.GetVersion(), StartedAt: &started,
		Root: info.GetRoot(), RunRoot: info.GetRunRoot(),
		ContainersRunning: info.GetContainersRunning(), ContainersStopped: info.GetContainersStopped(), Networks: info.GetNetworks(),
	}, format)
}

func showStatus(out io.Writer, v statusView, format output.Format) error {
	if format == output.FormatJSON {
		return output.JSON(out, v)
	}
	t := output.NewTable("STATE", "PROCESS", "VERSION", "CONTAINERS", "NETWORKS", "RUN ROOT")
	if v.Running {
		t.Add("running", strconv.FormatInt(v.PID, 10), v.Version,
			frame.Count(uint64(v.ContainersRunning))+" running, "+frame.Count(uint64(v.ContainersStopped))+" stopped", frame.Count(uint64(v.Networks)), v.RunRoot)
	} else {
		t.Add("not running", "", "", "", "", v.RunRoot)
	}
	return t.Write(out)
}
