package system

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/resource"
)

// kernelView is the kernel of virtual machines.
type kernelView struct {
	Release string   `json:"release"`
	Source  string   `json:"source"`
	Digest  string   `json:"digest"`
	Modules []string `json:"modules"`
	// Templates are machines that were saved, for others to go on from.
	Templates   []templateView             `json:"templates"`
	Accelerator resource.AcceleratorStatus `json:"accelerator"`
}

// acceleratorOf is what executes virtual machines.
func acceleratorOf(k *apiserverv1.Kernel) resource.AcceleratorStatus {
	return resource.AcceleratorStatus{Accelerator: resource.Accelerator(k.GetAccelerator()), Reason: k.GetAcceleratorReason()}
}

type templateView struct {
	MemoryBytes int64     `json:"memoryBytes"`
	Processors  int       `json:"processors"`
	Accelerator string    `json:"accelerator"`
	BuiltAt     time.Time `json:"builtAt"`
	UsedAt      time.Time `json:"usedAt"`
	Uses        int       `json:"uses"`
	DiskBytes   int64     `json:"diskBytes"`
}

func viewTemplate(t *apiserverv1.KernelTemplate) templateView {
	return templateView{
		MemoryBytes: t.GetMemoryBytes(), Processors: int(t.GetProcessors()), Accelerator: t.GetAccelerator(),
		BuiltAt: t.GetBuiltAt().AsTime(), UsedAt: t.GetUsedAt().AsTime(), Uses: int(t.GetUses()), DiskBytes: t.GetDiskBytes(),
	}
}

func newSystemKernelStatus(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "status [FLAGS]",
		Short: "Show the kernel that virtual machines boot, what executes it, and the machines saved",
		Long: `Show the kernel that virtual machines boot, what executes it and why, and the machines
that were booted and saved for others to start from.`,
		Example: `  patchbay system kernel status
  patchbay system kernel status --format json`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runSystemKernelStatus(ctx, api.System, f.Stdout, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatTable)
	return c
}

type kernelGetter interface {
	GetKernel(context.Context, *apiserverv1.GetKernelRequest) (*apiserverv1.GetKernelResponse, error)
}

func runSystemKernelStatus(ctx context.Context, api kernelGetter, out io.Writer, format output.Format) error {
	answer, err := api.GetKernel(ctx, &apiserverv1.GetKernelRequest{})
	if err != nil {
		return err
	}
	k := answer.GetKernel()
	v := kernelView{Release: k.GetRelease(), Source: k.GetSource(), Digest: k.GetDigest(), Modules: frame.Some(k.GetModules()), Templates: []templateView{}, Accelerator: acceleratorOf(k)}
	for _, t := range k.GetTemplates() {
		v.Templates = append(v.Templates, viewTemplate(t))
	}
	if format == output.FormatJSON {
		return output.JSON(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "Release:\t%s\nSource:\t%s\nDigest:\t%s\nModules:\t%s\nAccelerator:\t%v\n", v.Release, v.Source, v.Digest, strings.Join(v.Modules, " "), v.Accelerator)
	if err := w.Flush(); err != nil || len(v.Templates) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return templateTable(v.Templates, time.Now()).Write(out)
}

func templateTable(all []templateView, now time.Time) *output.Table {
	table := output.NewTable("TEMPLATE", "CPUS", "ACCELERATOR", "SIZE", "AGE", "USES", "LAST USED")
	for _, t := range all {
		used := "never"
		if t.Uses > 0 {
			used = output.Age(t.UsedAt, now) + " ago"
		}
		table.Add(fmt.Sprintf("%d MiB", t.MemoryBytes>>20), strconv.Itoa(t.Processors), t.Accelerator, output.Size(t.DiskBytes), output.Age(t.BuiltAt, now), strconv.Itoa(t.Uses), used)
	}
	return table
}
