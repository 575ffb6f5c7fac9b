package running

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/pull"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/resource"
)

// undoTimeout is how long taking back a half-done command may last, after the
// user has interrupted it or something failed.
const undoTimeout = 30 * time.Second

type runOptions struct {
	containerFlags
	detach bool
}

// NewRun returns the command "run".
func NewRun(f *frame.Frame) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run [FLAGS] IMAGE [COMMAND [ARG...]]",
		Short: "Create a container, start it and stay with it",
		Long: `Create a container, start it and stay with it until it ends; the exit code is
the container's (see "patchbay help exit-codes"). An image that is not there is
pulled. If the container cannot be started, it is deleted again.

Signals are passed on to the container. With -it, Ctrl-P Ctrl-Q leaves it
running. When nobody reads its output any more, as behind "| head", the exit code
is 141; a container of --rm is killed and deleted then, any other goes on.`,
		Example: `  patchbay run --rm debian cat /etc/os-release
  patchbay run -it --rm --network web --network lan,mac=02:00:00:00:00:05,ip=192.168.1.5 debian
  patchbay run -d --name db -e PASSWORD --network db --memory 512m -v ./data:/data postgres
  echo hi | patchbay run --rm -i --network none debian cat`,
		Args: f.AtLeast(1, "an IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			request := o.request(f, c, args)
			if o.template.Terminal && !o.detach && !terminal.Is(f.Stdin) {
				f.Fault(errNoTerminal)
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return frame.EngineError(err)
			}
			defer api.Close()
			r := runner{frame: f, containers: api.Containers, images: api.Images, options: &o}
			return frame.EngineError(r.run(c.Context(), &apiserverv1.ContainerServiceRunRequest{
				Id: resource.NewID(), Name: request.GetName(), Labels: request.GetLabels(), Template: request.GetTemplate(), Attach: !o.detach,
			}))
		},
	}
	o.bind(f, c)
	f.Check(c, func() { o.request(f, c, nil) })
	c.Flags().BoolVarP(&o.detach, "detach", "d", false, "leave it running in the background and show its id")
	return c
}

var errNoTerminal = errors.New("--tty: wants a terminal on standard input, which is none; leave out -t")

type runClient interface {
	sessionClient
	waiter
	containers.Deleter
	Run(context.Context, *apiserverv1.ContainerServiceRunRequest) (*apiserverv1.ContainerServiceRunResponse, error)
}

type runner struct {
	frame      *frame.Frame
	containers runClient
	images     pull.Source
	options    *runOptions
}

func (r runner) run(ctx context.Context, request *apiserverv1.ContainerServiceRunRequest) error {
	image := wantedImage{images: r.images, name: request.GetTemplate().GetImage(), pull: r.options.pull, platform: r.options.platform}
	started, err := withImage(ctx, r.frame, image, func(ctx context.Context) (*apiserverv1.ContainerServiceRunResponse, error) {
		return r.start(ctx, request)
	})
	if err != nil {
		return err
	}
	id := started.GetId()
	s := &session{
		frame: r.frame, api: r.containers, container: id,
		terminal: r.options.template.Terminal, stdin: r.options.template.Stdin,
	}
	frame.Warn(r.frame.Stderr, started.GetWarnings())
	if r.options.detach {
		_, err := fmt.Fprintln(r.frame.Stdout, id)
		return err
	}
	terminal.SurviveBrokenPipe()
	exit, err := s.attach(ctx, started.GetStdioSocket())
	if errors.Is(err, unix.EPIPE) {
		return r.unread(ctx, id)
	}
	return s.outcome(ctx, r.containers, exit, err, r.options.template.AutoRemove)
}

func (r runner) start(ctx context.Context, request *apiserverv1.ContainerServiceRunRequest) (*apiserverv1.ContainerServiceRunResponse, error) {
	started, err := r.containers.Run(ctx, request)
	if ctx.Err() != nil { // interrupted just now: to leave it running would surprise
		return nil, errors.Join(cmp.Or(err, ctx.Err()), r.undo(ctx, request.GetId()))
	}
	return started, err
}

// unread ends a command whose output nobody reads any more. What was to go when it
// ends was this command's alone: nobody would stop it.
func (r runner) unread(ctx context.Context, id string) (err error) {
	if r.options.template.AutoRemove {
		err = r.undo(ctx, id)
	}
	return &frame.ExitError{Code: exitBrokenPipe, Err: err}
}

// undo deletes a container of whose start nobody waits for the end.
func (r runner) undo(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return containers.IgnoreNotFound(containers.Delete(ctx, r.containers, id, true))
}
