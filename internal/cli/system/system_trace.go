package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/spans"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/timerslack"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/trace/collect"
	"patchbay.dev/patchbay/internal/wire/span"
)

type traceOptions struct {
	output      string
	allocations bool
}

func newSystemTrace(f *frame.Frame) *cobra.Command {
	var o traceOptions
	c := &cobra.Command{
		Use:   "trace [FLAGS] [--] [COMMAND [ARG...]]",
		Short: "Show where the time of a command goes, through all processes",
		Long: `Run a command of patchbay and show what it consisted of, in all processes: the
command line, patchbayd, network plugins and runtime helpers. The tree is shown on
standard error when the command has ended; the exit code is the command's.

Without a command, all calls that patchbayd answers are shown as they end, until
interrupted.

A line has when a step began, how long it took, and where in the whole that is. What a
line calls another process for is one line with its answer.`,
		Example: `  patchbay system trace run --rm debian true
  patchbay system trace --output start.json run -d --name web --network lan nginx
  patchbay system trace --output start.svg -- network connect lan web
  patchbay system trace`,
		RunE: func(c *cobra.Command, args []string) error {
			f.Fault(o.check())
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			t := tracer{frame: f, api: api.System, kept: spans.NewKept(), options: o}
			if len(args) == 0 {
				return t.all(c.Context())
			}
			return t.command(c.Context(), args)
		},
	}
	c.Flags().SetInterspersed(false) // the flags of the command are its own
	c.Flags().StringVarP(&o.output, "output", "o", "", "also write it to a file: a picture if its name ends in .svg, else JSON for Perfetto and other viewers")
	c.Flags().BoolVar(&o.allocations, "allocations", false, "also show how much memory each process allocates meanwhile; that takes time itself")
	return c
}

// check finds what would only show when all is over.
func (o traceOptions) check() error {
	if o.output == "" {
		return nil
	}
	directory := filepath.Dir(o.output)
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return fmt.Errorf("output %q: want a file in a directory that exists, %s does not", o.output, directory)
	}
	return nil
}

type traceSource interface {
	Trace(context.Context) (apiserverv1connect.SystemServiceTraceClientStream, error)
}

type tracer struct {
	frame   *frame.Frame
	api     traceSource
	kept    *spans.Kept
	options traceOptions
}

// listen begins to hear of a trace, or of all.
func (t tracer) listen(ctx context.Context, id trace.ID) (stream apiserverv1connect.SystemServiceTraceClientStream, err error) {
	if stream, err = t.api.Trace(ctx); err != nil {
		return stream, err
	}
	request := &apiserverv1.TraceRequest{Allocations: t.options.allocations}
	if id != (trace.ID{}) {
		request.TraceId = id.String()
	}
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return stream, errors.Join(err, stream.Close())
	}
	if _, err := stream.Receive(); err != nil { // ready
		return stream, errors.Join(err, stream.Close())
	}
	return stream, nil
}

// hear keeps what is told until there is no more; each is told of each record.
func (t tracer) hear(stream apiserverv1connect.SystemServiceTraceClientStream, each func(trace.Record) error) error {
	for {
		message, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.GetSpan() == nil:
			t.kept.Lose(message.GetLost())
			continue
		}
		r, err := span.FromProto(message.GetSpan())
		if err != nil {
			return err
		}
		t.kept.Take(r)
		if each == nil {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// all shows the calls of patchbayd as they end.
func (t tracer) all(ctx context.Context) error {
	listening, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stream, err := t.listen(listening, trace.ID{})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	defer context.AfterFunc(ctx, func() { _ = stream.CloseSend() })()
	open := map[trace.ID]int{}
	err = t.hear(stream, func(r trace.Record) error {
		switch {
		case r.Kind == trace.Life: // goes on when the operation is over
			return nil
		case !r.Ended:
			open[r.Trace]++
			return nil
		}
		if open[r.Trace]--; open[r.Trace] > 0 {
			return nil
		}
		delete(open, r.Trace)
		return t.show(r.Trace)
	})
	if err != nil {
		return err
	}
	for id := range open { // what was interrupted
		if err := t.show(id); err != nil {
			return err
		}
	}
	t.warn()
	return t.write(t.kept.Roots())
}

// show shows a trace, and forgets it unless it is to be written to a file.
func (t tracer) show(id trace.ID) error {
	for _, root := range t.kept.Roots() {
		if root.Trace == id {
			if err := spans.WriteTree(t.frame.Stdout, root); err != nil {
				return err
			}
		}
	}
	if t.options.output == "" {
		t.kept.Drop(id)
	}
	return nil
}

// command runs a command of patchbay and shows what it consisted of.
func (t tracer) command(ctx context.Context, args []string) error {
	recorder := trace.NewRecorder("patchbay", t.kept)
	id := trace.NewID()
	stream, err := t.listen(context.WithoutCancel(ctx), id)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	var hearing sync.WaitGroup
	var heard error
	hearing.Go(func() { heard = t.hear(stream, nil) })

	_, root := recorder.Join(ctx, strings.Join(append([]string{"patchbay"}, args...), " "), trace.Inside, trace.Parent{Trace: id})
	ended, err := t.run(root, args)
	root.End(nil)
	_ = stream.CloseSend() // if it is broken, who hears knows why
	hearing.Wait()
	if errdefs.IsUnavailable(heard) { // "system stop" can be traced too
		frame.Warn(t.frame.Stderr, []string{"patchbayd has ended meanwhile: what it would have told after that is missing"})
		heard = nil
	}
	if err := errors.Join(err, heard); err != nil {
		return err
	}
	roots := t.kept.Roots()
	for _, r := range roots {
		if err := spans.WriteTree(t.frame.Stderr, r); err != nil {
			return err
		}
	}
	t.warn()
	return errors.Join(t.write(roots), ended)
}

// warn tells of what is not shown.
func (t tracer) warn() {
	if n := t.kept.Lost(); n > 0 {
		frame.Warn(t.frame.Stderr, []string{fmt.Sprintf("%d records were lost: some spans are missing, or shown as going on", n)})
	}
}

// run executes this program with the arguments and keeps what it tells of itself.
// ended is how it ended.
func (t tracer) run(root *trace.Span, args []string) (ended, err error) {
	collector, err := collect.New("", t.kept.Take)
	if err != nil {
		return nil, err
	}
	defer collector.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "trace")
	defer theirs.Close()
	binary, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, unix.Close(pair[0]))
	}
	roots := t.frame.Roots()
	parent := root.Parent()
	parent.Allocations = t.options.allocations
	cmd := exec.Command(binary, args...)
	cmd.Args[0] = "patchbay"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.frame.Stdin, t.frame.Stdout, t.frame.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(os.Environ(), layout.RootVariable+"="+roots.Root, layout.RunRootVariable+"="+roots.RunRoot, trace.FDVariable+"=3")
	cmd.Env = append(cmd.Env, parent.Environment()...)

	signals := t.frame.Signals
	signals.Catch() // of a terminal they reach the command as well
	defer signals.Stop()
	if err := timerslack.Usual(cmd.Start); err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", args[0], err), unix.Close(pair[0]))
	}
	theirs.Close() // what is left is the command's
	t.kept.Place(parent.Span, cmd.Process.Pid)
	if err := collector.Add(pair[0], cmd.Process.Pid); err != nil {
		return nil, errors.Join(err, cmd.Wait())
	}
	forwarding, stop := context.WithCancel(context.Background())
	var forward sync.WaitGroup
	forward.Go(func() {
		signals.Forward(forwarding, func(name string) {
			if name == "SIGTERM" || name == "SIGHUP" {
				_ = cmd.Process.Signal(unix.SignalNum(name))
			}
		})
	})
	waited := cmd.Wait()
	stop()
	forward.Wait()
	collector.Sync()
	var exit *exec.ExitError
	if waited != nil && !errors.As(waited, &exit) {
		return nil, waited
	}
	return exitOf(cmd.ProcessState), nil
}

// exitOf makes this process exit as the command did.
func exitOf(s *os.ProcessState) error {
	status, ok := s.Sys().(unix.WaitStatus)
	switch {
	case s.Success():
		return nil
	case ok && status.Signaled():
		return &frame.ExitError{Code: 128 + int(status.Signal())}
	}
	return &frame.ExitError{Code: s.ExitCode()}
}

// write writes the file that is wanted.
func (t tracer) write(roots []*spans.Span) error {
	if t.options.output == "" {
		return nil
	}
	draw := spans.WriteChrome
	if filepath.Ext(t.options.output) == ".svg" {
		draw = spans.WritePicture
	}
	var b bytes.Buffer
	if err := draw(&b, roots); err != nil {
		return err
	}
	return atomicfile.Write(t.options.output, b.Bytes(), 0o644)
}
