package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/meter"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/cli/screen"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// The times between samples.
const (
	statsInterval    = 2 * time.Second
	minStatsInterval = 100 * time.Millisecond
)

type statsOptions struct {
	format   output.Format
	interval time.Duration
	once     bool
	networks bool
}

// NewStats returns the command "stats".
func NewStats(f *frame.Frame) *cobra.Command {
	o := statsOptions{interval: statsInterval}
	c := &cobra.Command{
		Use:   "stats [FLAGS] [NAME...]",
		Short: "Show what containers use, as they use it",
		Long: `Show what running containers use: those that are named, else all. They come and
go in the table as they start and end, until interrupted, or until none of those that
are named runs any more.

CPU is of the time between two samples; 100% is one processor. MEMORY is without
what is cached of files. RECEIVED and SENT are of the container, over all of its
networks; --networks shows each of them. Of a virtual machine all is what the
container uses inside of it, and LIMIT all the memory that its kernel has.

With --format json each sample of a container is an object on a line of its own,
with its counters as they are: times in nanoseconds, sizes in bytes.`,
		Example: `  patchbay stats
  patchbay stats --networks web db
  patchbay stats --no-stream --format json | jq -r '"\(.name) \(.cpuPercent)"'`,
		Args:              f.AtLeast(0, "NAMEs"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runStats(ctx, api.Containers, f.Stdout, args, o)
		}),
	}
	flags := c.Flags()
	flags.BoolVar(&o.once, "no-stream", false, "show one table, an interval after the first samples, and end")
	flags.BoolVar(&o.networks, "networks", false, "show a row for each network of a container")
	flags.Var(frame.Checked(f, &o.interval, "time", parseInterval), "interval", fmt.Sprintf("time from one sample to the next (default %v)", statsInterval))
	f.FormatFlag(c, &o.format, output.FormatTable)
	return c
}

func parseInterval(s string) (time.Duration, error) {
	d, err := parse.Timeout(s)
	if err != nil || d < minStatsInterval {
		return statsInterval, fmt.Errorf("interval %q: want seconds, or a time span like 500ms; at least %v", s, minStatsInterval)
	}
	return d, nil
}

type statsSource interface {
	Stats(context.Context, *apiserverv1.ContainerServiceStatsRequest) (*apiserverv1.ContainerServiceStatsResponse, error)
}

// runStats shows samples until ctx ends, which is no error unless it was to end by
// itself. Names are wanted to run when it begins; from then on those are shown that
// do, until none does.
func runStats(ctx context.Context, api statsSource, out io.Writer, names []string, o statsOptions) error {
	var m meter.Meter
	s := screen.New(out)
	ticks := time.NewTicker(o.interval)
	defer ticks.Stop()
	for first := true; ; first = false {
		samples, err := takeSamples(ctx, api, names, !first && !o.once)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if nobodyLeft(names, samples, err) { // the first time that is an error
			return s.Close()
		}
		if rows := m.Rows(samples); err == nil && !(first && o.once) {
			if err := o.show(s, out, rows); err != nil || o.once {
				return err
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			if o.once {
				return ctx.Err()
			}
			return s.Close()
		}
	}
}

// nobodyLeft reports whether none of those that were named runs any more.
func nobodyLeft(names []string, samples []resource.ContainerStats, err error) bool {
	return err == nil && len(names) > 0 && len(samples) == 0
}

func takeSamples(ctx context.Context, api statsSource, names []string, runningOnly bool) ([]resource.ContainerStats, error) {
	answer, err := api.Stats(ctx, &apiserverv1.ContainerServiceStatsRequest{Names: names, RunningOnly: runningOnly})
	if err != nil {
		return nil, err
	}
	samples := make([]resource.ContainerStats, 0, len(answer.GetContainers()))
	for _, c := range answer.GetContainers() {
		samples = append(samples, apiwire.ContainerStatsFromProto(c))
	}
	return samples, nil
}

func (o statsOptions) show(s *screen.Screen, out io.Writer, rows []meter.Row) error {
	if o.format == output.FormatJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		for _, r := range rows {
			if err := lines.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	table := meter.Containers(rows)
	if o.networks {
		table = meter.Networks(rows)
	}
	var text bytes.Buffer
	if err := table.Write(&text); err != nil {
		return err
	}
	return s.Show(text.String())
}
