package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

// tree is the files of a fake container: what the script has in root/files/NAME.
func (s fakeContainers) tree(name string) (*treecopy.Tree, error) {
	root := filepath.Join(s.server.roots.Root, "files", name)
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("container %q: not found: %w", name, errdefs.ErrNotFound)
	}
	return treecopy.Container(root)
}

func (s fakeContainers) CopyFrom(ctx context.Context, r *apiserverv1.ContainerServiceCopyFromRequest, stream apiserverv1connect.ContainerServiceCopyFromServerStream) error {
	s.server.record("Containers.CopyFrom", r)
	tree, err := s.tree(r.GetName())
	if err != nil {
		return err
	}
	defer tree.Close()
	lie := r.GetName() == "liar" // says that its top is called otherwise
	return parts.Send(ctx, tree, r.GetPath(), r.GetFollow(), func(part *typesv1.CopyPart) error {
		if lie && part.GetSource() != nil {
			part.Source.Name = ".profile"
		}
		return stream.Send(&apiserverv1.ContainerServiceCopyFromResponse{Part: part})
	})
}

func (s fakeContainers) CopyTo(ctx context.Context, stream apiserverv1connect.ContainerServiceCopyToServerStream) (*apiserverv1.ContainerServiceCopyToResponse, error) {
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	tree, err := s.tree(first.GetName())
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	leftOut, err := parts.Receive(ctx, tree, first.GetPath(), first.GetKeepOwners(), parts.After(first.GetPart(), func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}))
	return &apiserverv1.ContainerServiceCopyToResponse{LeftOut: leftOut}, err
}
