package images

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

type imageSaveOptions struct {
	output      string
	format      apiserverv1.ArchiveFormat
	compression apiserverv1.Compression
}

func newImageSave(f *frame.Frame) *cobra.Command {
	var o imageSaveOptions
	c := &cobra.Command{
		Use:   "save [FLAGS] NAME...",
		Short: "Save images to an archive",
		Example: `  patchbay image save -o images.tar debian app:1
  patchbay image save --archive docker --compression gzip app >app.tar.gz`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteImages(0),
		RunE: func(c *cobra.Command, args []string) error {
			if out, ok := f.Stdout.(*os.File); ok && o.output == "-" && terminal.Is(out) {
				f.Fault(errors.New("save: would write an archive to the terminal: name a file with -o, or redirect the output"))
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if o.output == "-" {
				return runImageSave(c.Context(), api.Images, f.Stdout, args, o)
			}
			file, err := createArchive(o.output)
			if err != nil {
				return err
			}
			defer file.discard()
			if err := runImageSave(c.Context(), api.Images, file, args, o); err != nil {
				return err
			}
			return file.commit()
		},
	}
	flags := c.Flags()
	flags.StringVarP(&o.output, "output", "o", "-", "file (default: standard output)")
	flags.Var(frame.CheckedDefault(f, &o.format, "kind", parseArchiveFormat, "oci"),
		"archive", "kind of archive: oci or docker")
	flags.Var(frame.CheckedDefault(f, &o.compression, "kind", parseCompression, "none"),
		"compression", "compression of the archive: none, gzip or zstd")
	frame.Complete(c, "archive", "oci", "docker")
	frame.Complete(c, "compression", "none", "gzip", "zstd")
	return c
}

func parseArchiveFormat(s string) (apiserverv1.ArchiveFormat, error) {
	return apiwire.ArchiveFormatToProto(resource.ArchiveFormat(s))
}

func parseCompression(s string) (apiserverv1.Compression, error) {
	return apiwire.CompressionToProto(resource.Compression(s))
}

type imageSaver interface {
	Save(context.Context, *apiserverv1.ImageServiceSaveRequest) (apiserverv1connect.ImageServiceSaveClientStream, error)
}

func runImageSave(ctx context.Context, api imageSaver, out io.Writer, names []string, o imageSaveOptions) error {
	stream, err := api.Save(ctx, &apiserverv1.ImageServiceSaveRequest{Names: names, Format: o.format, Compression: o.compression})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(message.GetData()); err != nil {
			return err
		}
	}
}
