package containers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

type logsOptions struct {
	follow, timestamps bool
	tail               int64
	since              time.Time
}

// NewLogs returns the command "logs".
func NewLogs(f *frame.Frame) *cobra.Command {
	var o logsOptions
	c := &cobra.Command{
		Use:   "logs [FLAGS] NAME",
		Short: "Show what a container's main process wrote",
		Example: `  patchbay logs -f web
  patchbay logs -n 20 -t web
  patchbay logs --since 10m web`,
		Args:              f.Exactly(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(1),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runLogs(ctx, api.Containers, logWriters{stdout: f.Stdout, stderr: f.Stderr, timestamps: o.timestamps}, args[0], o)
		}),
	}
	flags := c.Flags()
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on until the container ends")
	flags.BoolVarP(&o.timestamps, "timestamps", "t", false, "show when each line was written")
	frame.BindTail(f, c, &o.tail)
	flags.Var(frame.Checked(f, &o.since, "time", func(s string) (time.Time, error) { return parse.Since(s, time.Now()) }),
		"since", "show what was written since a time, or in a time span like 10m before now")
	return c
}

type logReader interface {
	Logs(context.Context, *apiserverv1.ContainerServiceLogsRequest) (apiserverv1connect.ContainerServiceLogsClientStream, error)
}

func runLogs(ctx context.Context, api logReader, out logWriters, name string, o logsOptions) error {
	request := &apiserverv1.ContainerServiceLogsRequest{Name: name, Follow: o.follow, Tail: o.tail}
	if !o.since.IsZero() {
		request.Since = message.NewTimestamp(o.since)
	}
	stream, err := api.Logs(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for {
		entry, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.write(entry); err != nil {
			return err
		}
	}
}

// logWriters sends each stream where it came from, with a time in front of each
// line if wanted.
type logWriters struct {
	stdout, stderr io.Writer
	timestamps     bool
	inLine         [2]bool // per stream: the last byte written was no line feed
}

func (w *logWriters) write(entry *apiserverv1.ContainerServiceLogsResponse) error {
	out, stream := w.stdout, 0
	if entry.GetStderr() {
		out, stream = w.stderr, 1
	}
	if !w.timestamps {
		_, err := out.Write(entry.GetData())
		return err
	}
	stamp := entry.GetTime().AsTime().Format("2006-01-02T15:04:05.000000000Z") + " "
	var buffer bytes.Buffer
	for line := range bytes.Lines(entry.GetData()) {
		if !w.inLine[stream] {
			buffer.WriteString(stamp)
		}
		buffer.Write(line)
		w.inLine[stream] = line[len(line)-1] != '\n'
	}
	_, err := out.Write(buffer.Bytes())
	return err
}
