package rpc

import (
	"context"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// Images is the image service behind the harness.
type Images interface {
	imageCatalog
	imageTransfers
}

type imageCatalog interface {
	List(ctx context.Context) ([]resource.Image, error)
	Get(ctx context.Context, name string) (resource.Image, error)
	Tag(ctx context.Context, name, reference string) error
	Delete(ctx context.Context, name string, force bool) (resource.ImageDeletion, error)
	Prune(ctx context.Context, all bool) (resource.ImagePrune, error)
}

type imageHarness struct{ images Images }

var _ apiserverv1connect.ImageServiceHandler = imageHarness{}

// NewImages returns the harness of the image service.
func NewImages(images Images) apiserverv1connect.ImageServiceHandler { return imageHarness{images} }

func (h imageHarness) List(ctx context.Context, _ *apiserverv1.ImageServiceListRequest) (*apiserverv1.ImageServiceListResponse, error) {
	list, err := h.images.List(ctx)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceListResponse{Images: imagesToProto(list)}, nil
}

func (h imageHarness) Get(ctx context.Context, req *apiserverv1.ImageServiceGetRequest) (*apiserverv1.ImageServiceGetResponse, error) {
	image, err := h.images.Get(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceGetResponse{Image: apiwire.ImageToProto(image)}, nil
}

func (h imageHarness) Tag(ctx context.Context, req *apiserverv1.ImageServiceTagRequest) (*apiserverv1.ImageServiceTagResponse, error) {
	if err := h.images.Tag(ctx, req.GetName(), req.GetReference()); err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceTagResponse{}, nil
}

func (h imageHarness) Delete(ctx context.Context, req *apiserverv1.ImageServiceDeleteRequest) (*apiserverv1.ImageServiceDeleteResponse, error) {
	done, err := h.images.Delete(ctx, req.GetName(), req.GetForce())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceDeleteResponse{Untagged: done.Untagged, Deleted: done.Deleted}, nil
}

func (h imageHarness) Prune(ctx context.Context, req *apiserverv1.ImageServicePruneRequest) (*apiserverv1.ImageServicePruneResponse, error) {
	done, err := h.images.Prune(ctx, req.GetAll())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServicePruneResponse{Deleted: done.Deleted, ReclaimedBytes: done.ReclaimedBytes}, nil
}

func imagesToProto(list []resource.Image) []*apiserverv1.Image {
	out := make([]*apiserverv1.Image, len(list))
	for i, image := range list {
		out[i] = apiwire.ImageToProto(image)
	}
	return out
}
