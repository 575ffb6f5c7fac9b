package images

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

type imageImportOptions struct {
	run              resource.ImageRunConfiguration
	entrypoint, cmd  string
	env, labels      []string
	quiet            bool
	input, reference string
}

func newImageImport(f *frame.Frame) *cobra.Command {
	var o imageImportOptions
	c := &cobra.Command{
		Use:   "import [FLAGS] FILE|- REFERENCE",
		Short: "Make an image out of a root file system archive",
		Long: `Make an image of one layer out of a tar archive of a root file system, plain or
compressed by gzip or zstd, and show its digest.`,
		Example: `  patchbay image import rootfs.tar box:latest
  tar -C rootfs -c . | patchbay image import --cmd "/bin/sh -l" --env LANG=C.UTF-8 - box`,
		Args: f.Exactly(2, "a FILE and a REFERENCE"),
		RunE: func(c *cobra.Command, args []string) error {
			o.complete(f)
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			o.input, o.reference = args[0], args[1]
			if isDirectory(o.input) {
				return fmt.Errorf("archive %s: is a directory, want a tar archive: make one with \"tar -C %s -c . | patchbay image import - %s\"%w",
					o.input, o.input, o.reference, frame.Quiet(errdefs.ErrInvalidArgument))
			}
			archive, size, err := openArchive(f, o.input)
			if err != nil {
				return err
			}
			defer archive.Close()
			return runImageImport(c.Context(), api.Images, f.Stdout, o, upload{
				name: o.input, from: archive, size: size, progress: uploadProgress(f, o.quiet),
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.entrypoint, "entrypoint", "", "words that every command starts with")
	flags.StringVar(&o.cmd, "cmd", "", "words of the command to run when none is given")
	flags.StringArrayVarP(&o.env, "env", "e", nil, "NAME=VALUE (repeatable)")
	flags.StringVarP(&o.run.WorkingDirectory, "workdir", "w", "", "working directory")
	flags.StringVarP(&o.run.User, "user", "u", "", "NAME|UID[:GROUP|GID]")
	flags.StringVar(&o.run.StopSignal, "stop-signal", "", "signal that asks its containers to end")
	flags.StringArrayVar(&o.run.Volumes, "volume", nil, "PATH that gets a volume in each container (repeatable)")
	flags.StringArrayVarP(&o.labels, "label", "l", nil, "KEY[=VALUE] (repeatable)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "show no progress")
	f.Check(c, func() { o.complete(f) })
	return c
}

func (o *imageImportOptions) complete(f *frame.Frame) {
	env, err := parse.Pairs("env", o.env, false)
	f.Fault(err)
	if len(env) > 0 {
		o.run.Env = o.env
	}
	o.run.Labels, err = parse.Pairs("label", o.labels, true)
	f.Fault(err)
	o.run.Entrypoint = strings.Fields(o.entrypoint)
	o.run.Cmd = strings.Fields(o.cmd)
}

type imageImporter interface {
	Import(context.Context) (apiserverv1connect.ImageServiceImportClientStream, error)
}

func runImageImport(ctx context.Context, api imageImporter, out io.Writer, o imageImportOptions, u upload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := api.Import(ctx)
	if err != nil {
		return err
	}
	first := &apiserverv1.ImageServiceImportRequest{Reference: o.reference, Run: apiwire.ImageRunConfigurationToProto(o.run)}
	u.send = func(data []byte) error {
		request := first
		if request == nil {
			request = &apiserverv1.ImageServiceImportRequest{}
		}
		first, request.Data = nil, data
		return stream.Send(request)
	}
	if err := u.run(); err != nil {
		return err
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return u.blame(err)
	}
	return frame.Lines(out, []string{answer.GetImage().GetConfiguration().GetDigest()})
}
