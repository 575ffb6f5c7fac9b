package images

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

type imageLoadOptions struct {
	input, reference string
	quiet            bool
}

func newImageLoad(f *frame.Frame) *cobra.Command {
	var o imageLoadOptions
	c := &cobra.Command{
		Use:   "load [FLAGS]",
		Short: "Load images from an archive",
		Long: `Load images from a docker-archive or an OCI layout, plain or compressed by gzip or
zstd, and show their references. An OCI layout may be a directory too.`,
		Example: `  patchbay image load -i images.tar
  zcat images.tar.gz | patchbay image load`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			archive, size, err := openImages(f, o.input)
			if err != nil {
				return err
			}
			defer archive.Close()
			return runImageLoad(ctx, api.Images, f.Stdout, o, upload{
				name: o.input, from: archive, size: size, progress: uploadProgress(f, o.quiet),
			})
		}),
	}
	c.Flags().StringVarP(&o.input, "input", "i", "-", "archive or directory (default: standard input)")
	c.Flags().StringVar(&o.reference, "reference", "", "name for an image that brings none")
	c.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "show no progress")
	return c
}

func openImages(f *frame.Frame, path string) (io.ReadCloser, int64, error) {
	if path != "-" && isDirectory(path) {
		return packDirectory(path), 0, nil
	}
	return openArchive(f, path)
}

type imageLoader interface {
	Load(context.Context) (apiserverv1connect.ImageServiceLoadClientStream, error)
}

func runImageLoad(ctx context.Context, api imageLoader, out io.Writer, o imageLoadOptions, u upload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := api.Load(ctx)
	if err != nil {
		return err
	}
	first := &apiserverv1.ImageServiceLoadRequest{Reference: o.reference}
	u.send = func(data []byte) error {
		request := first
		if request == nil {
			request = &apiserverv1.ImageServiceLoadRequest{}
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
	var loaded []string
	for _, i := range answer.GetImages() {
		names := i.GetStatus().GetReferences()
		if len(names) == 0 {
			names = []string{i.GetConfiguration().GetDigest()}
		}
		loaded = append(loaded, names...)
	}
	return frame.Lines(out, loaded)
}
