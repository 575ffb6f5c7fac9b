package system

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// infoView is what decides on this host what works.
type infoView struct {
	Version              string      `json:"version"`
	Revision             string      `json:"revision"`
	PID                  int64       `json:"pid"`
	StartedAt            time.Time   `json:"startedAt"`
	Root                 string      `json:"root"`
	RunRoot              string      `json:"runRoot"`
	PluginDirectories    []string    `json:"pluginDirectories"`
	DefaultRuntime       string      `json:"defaultRuntime"`
	DefaultNetworkPlugin string      `json:"defaultNetworkPlugin"`
	OperatingSystem      string      `json:"operatingSystem"`
	Kernel               string      `json:"kernel"`
	Architecture         string      `json:"architecture"`
	Processors           uint32      `json:"processors"`
	MemoryBytes          int64       `json:"memoryBytes"`
	CgroupVersion        string      `json:"cgroupVersion"`
	ContainersRunning    uint32      `json:"containersRunning"`
	ContainersStopped    uint32      `json:"containersStopped"`
	Networks             uint32      `json:"networks"`
	Images               uint32      `json:"images"`
	Checks               []checkView `json:"checks"`
}

type checkView struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func newSystemInfo(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "info [FLAGS]",
		Short: "Show patchbayd and the host, and what works on it",
		Example: `  patchbay system info
  patchbay system info --format json`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runSystemInfo(ctx, api.System, f.Stdout, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatTable)
	return c
}

func runSystemInfo(ctx context.Context, api informer, out io.Writer, format output.Format) error {
	info, err := api.Info(ctx, &apiserverv1.InfoRequest{})
	if err != nil {
		return err
	}
	v := viewInfo(info)
	if format == output.FormatJSON {
		return output.JSON(out, v)
	}
	return v.write(out)
}

func viewInfo(i *apiserverv1.InfoResponse) infoView {
	v := infoView{
		Version: i.GetVersion(), Revision: i.GetRevision(), PID: i.GetPid(), StartedAt: i.GetStartedAt().AsTime(),
		Root: i.GetRoot(), RunRoot: i.GetRunRoot(), PluginDirectories: frame.Some(i.GetPluginDirectories()),
		DefaultRuntime: i.GetDefaultRuntime(), DefaultNetworkPlugin: i.GetDefaultNetworkPlugin(),
		OperatingSystem: i.GetOperatingSystem(), Kernel: i.GetKernel(), Architecture: i.GetArchitecture(),
		Processors: i.GetProcessors(), MemoryBytes: i.GetMemoryBytes(), CgroupVersion: i.GetCgroupVersion(),
		ContainersRunning: i.GetContainersRunning(), ContainersStopped: i.GetContainersStopped(),
		Networks: i.GetNetworks(), Images: i.GetImages(), Checks: []checkView{},
	}
	for _, c := range i.GetChecks() {
		v.Checks = append(v.Checks, checkView{Name: c.GetName(), OK: c.GetOk(), Detail: c.GetDetail()})
	}
	return v
}

func (v infoView) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(w, "%s:\t%v\n", name, value) }
	row("Version", fmt.Sprintf("%s (%s)", v.Version, v.Revision))
	row("Process", fmt.Sprintf("%d, started %s", v.PID, v.StartedAt.Format(time.RFC3339)))
	row("Root", v.Root)
	row("Run root", v.RunRoot)
	row("Plugin directories", strings.Join(v.PluginDirectories, ":"))
	row("Default runtime", v.DefaultRuntime)
	row("Default network plugin", v.DefaultNetworkPlugin)
	row("Operating system", v.OperatingSystem)
	row("Kernel", v.Kernel)
	row("Architecture", v.Architecture)
	row("Processors", v.Processors)
	row("Memory", output.Size(v.MemoryBytes))
	row("Control groups", "version "+v.CgroupVersion)
	row("Containers", fmt.Sprintf("%d running, %d stopped", v.ContainersRunning, v.ContainersStopped))
	row("Networks", v.Networks)
	row("Images", v.Images)
	for _, c := range v.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "lacking"
		}
		row("Check "+c.Name, verdict+": "+c.Detail)
	}
	return w.Flush()
}
