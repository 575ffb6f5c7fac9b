package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

type copyOptions struct {
	from, to        copyPlace
	archive, follow bool
}

// NewCopy returns the command "cp".
func NewCopy(f *frame.Frame) *cobra.Command {
	var o copyOptions
	c := &cobra.Command{
		Use:   "cp [FLAGS] CONTAINER:PATH|PATH|- CONTAINER:PATH|PATH|-",
		Short: "Copy files and directories in and out of a container",
		Long: `Copy a file or directory from a container to this machine, the other way round, or
from a container to another. Into a directory that is there it goes under its
name, else it gets the new name. Of a directory whose path ends with "/." the
contents are copied. "-" is an archive (tar) on standard output, or one on standard
input, which is unpacked in the directory of the container.

Links in a container's paths lead where they lead in the container. A link at
the end of the source is copied as a link, without -L. Sockets and devices are
left out, and told.

What is copied belongs to root in a container, and to the caller on this
machine, with the mode it has, but for setuid and setgid. With -a it keeps its
owner, mode and extended attributes.`,
		Example: `  patchbay cp web:/etc/nginx/nginx.conf .
  patchbay cp -a site/. web:/srv/www
  patchbay cp web:/var/log - | tar -t`,
		Args:              f.Exactly(2, "a source and a destination"),
		ValidArgsFunction: f.CompleteContainerPaths,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 2 { // else that is told already
				o.from, o.to = parsePlace(args[0]), parsePlace(args[1])
				checkCopy(f, o.from, o.to)
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			leftOut, err := runCopy(c.Context(), f, api.Containers, o)
			if err != nil {
				return err
			}
			for _, name := range leftOut {
				fmt.Fprintf(f.Stderr, "patchbay: left out %q: neither a file, a directory, a link nor a FIFO\n", name)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&o.archive, "archive", "a", false, "keep owners, modes and extended attributes")
	c.Flags().BoolVarP(&o.follow, "follow-link", "L", false, "copy what a link leads to where the source is one")
	return c
}

// copyPlace is where a copy comes from or goes to.
type copyPlace struct {
	container string // empty: this machine
	path      string // "-": a standard stream
}

// parsePlace takes CONTAINER:PATH apart. What begins with "/" or "." or has a slash
// before the colon is a path of this machine.
func parsePlace(s string) copyPlace {
	name, path, found := strings.Cut(s, ":")
	if !found || name == "" || strings.ContainsRune(name, '/') || strings.HasPrefix(s, ".") {
		return copyPlace{path: s}
	}
	return copyPlace{container: name, path: path}
}

func (p copyPlace) stream() bool { return p.container == "" && p.path == "-" }

// absolute is the path on this machine, with what it ends with.
func (p copyPlace) absolute() (string, error) {
	if filepath.IsAbs(p.path) {
		return p.path, nil
	}
	directory, err := os.Getwd()
	return directory + "/" + p.path, err
}

func checkCopy(f *frame.Frame, from, to copyPlace) {
	if from.container == "" && to.container == "" {
		f.Fault(errors.New("cp: neither side is in a container, want CONTAINER:PATH for one of them"))
	}
	for _, p := range []copyPlace{from, to} {
		if p.path == "" {
			f.Fault(errors.New("cp: a path is empty"))
		}
	}
	if from.stream() && terminal.Is(f.Stdin) {
		f.Fault(errors.New("cp: standard input is a terminal, want an archive: pipe one in"))
	}
	if out, ok := f.Stdout.(*os.File); ok && to.stream() && terminal.Is(out) {
		f.Fault(errors.New("cp: would write an archive to the terminal: redirect the output"))
	}
}

type copyClient interface {
	CopyFrom(context.Context, *apiserverv1.ContainerServiceCopyFromRequest) (apiserverv1connect.ContainerServiceCopyFromClientStream, error)
	CopyTo(context.Context) (apiserverv1connect.ContainerServiceCopyToClientStream, error)
}

func runCopy(ctx context.Context, f *frame.Frame, api copyClient, o copyOptions) (leftOut []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.from.container == "" {
		return copyTo(ctx, api, o, func(send func(*typesv1.CopyPart) error) error { return sendLocal(ctx, f, o, send) })
	}
	stream, err := api.CopyFrom(ctx, &apiserverv1.ContainerServiceCopyFromRequest{Name: o.from.container, Path: o.from.path, Follow: o.follow})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }() // all is read, or nobody wants it
	receive := func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}
	if o.to.container != "" {
		return copyTo(ctx, api, o, func(send func(*typesv1.CopyPart) error) error { return parts.Forward(receive, send) })
	}
	return receiveLocal(ctx, f, o, receive)
}

// sendLocal sends what this machine has.
func sendLocal(ctx context.Context, f *frame.Frame, o copyOptions, send func(*typesv1.CopyPart) error) error {
	if o.from.stream() {
		if err := send(&typesv1.CopyPart{}); err != nil { // however empty the archive is
			return err
		}
		w := parts.NewWriter(send)
		if _, err := io.Copy(w, f.Stdin); err != nil {
			return err
		}
		return w.Flush()
	}
	tree, path, err := local(o.from)
	if err != nil {
		return err
	}
	defer tree.Close()
	return parts.Send(ctx, tree, path, o.follow, send)
}

func local(p copyPlace) (*treecopy.Tree, string, error) {
	path, err := p.absolute()
	if err != nil {
		return nil, "", err
	}
	tree, err := treecopy.Host()
	return tree, path, err
}

// copyTo sends to a container what produce sends.
func copyTo(ctx context.Context, api copyClient, o copyOptions, produce func(send func(*typesv1.CopyPart) error) error) ([]string, error) {
	stream, err := api.CopyTo(ctx)
	if err != nil {
		return nil, err
	}
	request := &apiserverv1.ContainerServiceCopyToRequest{Name: o.to.container, Path: o.to.path, KeepOwners: o.archive}
	var refused bool
	err = produce(func(part *typesv1.CopyPart) error {
		request.Part = part
		err := stream.Send(request)
		refused = err != nil
		request = &apiserverv1.ContainerServiceCopyToRequest{}
		return err
	})
	if err != nil && !refused {
		return nil, err
	}
	answer, err := stream.CloseAndReceive() // why it was refused, the answer tells
	if err != nil {
		return nil, err
	}
	return answer.GetLeftOut(), nil
}

// receiveLocal takes in on this machine what a container sends. What its top is
// Called is not the container's word.
func receiveLocal(ctx context.Context, f *frame.Frame, o copyOptions, receive func() (*typesv1.CopyPart, error)) ([]string, error) {
	r, said, err := parts.Open(receive)
	if err != nil {
		return nil, err
	}
	if o.to.stream() {
		_, err := io.Copy(f.Stdout, r)
		return r.LeftOut, err
	}
	source := treecopy.Named(o.from.path)
	source.Directory = said != nil && said.Directory
	tree, path, err := local(o.to)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	leftOut, err := tree.Unpack(ctx, r, path, treecopy.Arrival{Source: &source, Keep: o.archive})
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r)
	return append(r.LeftOut, leftOut...), err
}
