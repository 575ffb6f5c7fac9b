package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource/event"
)

func newSystemEvents(f *frame.Frame) *cobra.Command {
	var since, until string
	var filters []string
	var format output.Format
	c := &cobra.Command{
		Use:   "events [FLAGS]",
		Short: "Show what happens, as it happens",
		Long: `Show what happens to containers, networks, images and plugins: one line each, in
order, until interrupted.

Each event has a revision, greater than that of all before it. --since with the
last revision that was seen goes on after it, with none left out or told twice,
also over a restart of patchbayd. Where events after it are no longer kept (some
thousands are; none after "system stop" or a restart of the host), that is an
error: look at what there is now, and go on from there.

Filters of one key are alternatives; labels have to be there all.`,
		Example: `  patchbay system events
  patchbay system events --since 10m --until 0s --filter type=container --filter event=die
  patchbay system events --since 3000000017 --format json
  patchbay system events --filter network=web --filter label=app=shop`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			query := eventQuery(f, since, until, filters)
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runSystemEvents(c.Context(), api.System, f.Stdout, query, format)
		},
	}
	flags := c.Flags()
	flags.StringVar(&since, "since", "", "begin after a REVISION, at a time, or a time span like 10m before now (default: now)")
	flags.StringVar(&until, "until", "", "end at a time, or a time span like 0s before now (default: never)")
	flags.StringArrayVar(&filters, "filter", nil, "show only events with KEY=VALUE, key one of type, event, container, network, image, plugin, label (repeatable)")
	f.FormatFlag(c, &format, output.FormatTable)
	f.Check(c, func() { eventQuery(f, since, until, filters) })
	return c
}

// eventQuery reads the flags and keeps their faults.
func eventQuery(f *frame.Frame, since, until string, filters []string) event.Query {
	var q event.Query
	var err error
	now := time.Now()
	if revision, notNumber := strconv.ParseUint(since, 10, 64); notNumber == nil && revision > 0 {
		q.After = revision
	} else if since != "" {
		q.Since, err = parse.Since(since, now)
		if err != nil {
			err = fmt.Errorf("since %q: want a revision, a time span like 10m, or a time like 2006-01-02T15:04:05Z", since)
		}
		f.Fault(err)
	}
	if until != "" {
		if q.Until, err = parse.Since(until, now); err != nil {
			f.Fault(fmt.Errorf("until %q: want a time span like 10m, or a time like 2006-01-02T15:04:05Z", until))
		}
	}
	for _, s := range filters {
		filter, err := event.ParseFilter(s)
		f.Fault(err)
		q.Filters = append(q.Filters, filter)
	}
	return q
}

type eventSource interface {
	Events(context.Context, *apiserverv1.EventsRequest) (apiserverv1connect.SystemServiceEventsClientStream, error)
}

func runSystemEvents(ctx context.Context, api eventSource, out io.Writer, q event.Query, format output.Format) error {
	stream, err := api.Events(ctx, apiwire.EventQueryToProto(q))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // interrupted while it began: that is its end too
	case err != nil:
		return err
	}
	defer func() { _ = stream.Close() }()
	lines := json.NewEncoder(out)
	for {
		message, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		e := apiwire.EventFromProto(message.GetEvent())
		if format == output.FormatJSON {
			err = lines.Encode(e)
		} else {
			_, err = fmt.Fprintln(out, eventLine(e))
		}
		if err != nil {
			return err
		}
	}
}

// eventLine shows an event; its message, which may have spaces, is last.
func eventLine(e event.Event) string {
	words := []string{e.Time.Local().Format(time.RFC3339Nano), strconv.FormatUint(e.Revision, 10), string(e.Type), e.Action, e.Name}
	if e.ID != "" && e.ID != e.Name {
		words = append(words, "id="+e.ID)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Attributes)) {
		if key != event.AttributeMessage {
			words = append(words, key+"="+e.Attributes[key])
		}
	}
	if text := e.Attributes[event.AttributeMessage]; text != "" {
		words = append(words, "("+strings.ReplaceAll(text, "\n", "; ")+")")
	}
	return strings.Join(words, " ")
}
