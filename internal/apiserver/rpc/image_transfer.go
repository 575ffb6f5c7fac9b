package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

type imageTransfers interface {
	Pull(ctx context.Context, ref, platform string, progress func(resource.TransferProgress)) (resource.Image, error)
	Push(ctx context.Context, ref, destination string, progress func(resource.TransferProgress)) (digest string, err error)
	Load(ctx context.Context, r io.Reader, reference string) ([]resource.Image, error)
	Save(ctx context.Context, w io.Writer, names []string, format resource.ArchiveFormat, compression resource.Compression) error
	Import(ctx context.Context, r io.Reader, reference string, run resource.ImageRunConfiguration) (resource.Image, error)
}

// chunk is how many bytes of an archive are sent in one message.
const chunk = 256 << 10

func (h imageHarness) Pull(ctx context.Context, req *apiserverv1.ImageServicePullRequest, stream apiserverv1connect.ImageServicePullServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	var sendErr error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	image, err := h.images.Pull(ctx, req.GetReference(), req.GetPlatform(), func(p resource.TransferProgress) {
		if sendErr = stream.Send(&apiserverv1.ImageServicePullResponse{Progress: apiwire.TransferProgressToProto(p)}); sendErr != nil {
			cancel() // the caller has gone
		}
	})
	if err != nil {
		return errors.Join(sendErr, err)
	}
	return stream.Send(&apiserverv1.ImageServicePullResponse{Image: apiwire.ImageToProto(image)})
}

func (h imageHarness) Push(ctx context.Context, req *apiserverv1.ImageServicePushRequest, stream apiserverv1connect.ImageServicePushServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	var sendErr error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	digest, err := h.images.Push(ctx, req.GetReference(), req.GetDestination(), func(p resource.TransferProgress) {
		if sendErr = stream.Send(&apiserverv1.ImageServicePushResponse{Progress: apiwire.TransferProgressToProto(p)}); sendErr != nil {
			cancel() // the caller has gone
		}
	})
	if err != nil {
		return errors.Join(sendErr, err)
	}
	return stream.Send(&apiserverv1.ImageServicePushResponse{Digest: digest})
}

func (h imageHarness) Load(ctx context.Context, stream apiserverv1connect.ImageServiceLoadServerStream) (*apiserverv1.ImageServiceLoadResponse, error) {
	first, archive, err := receiveArchive(stream.Receive)
	if err != nil {
		return nil, err
	}
	list, err := h.images.Load(ctx, archive, first.GetReference())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceLoadResponse{Images: imagesToProto(list)}, nil
}

func (h imageHarness) Import(ctx context.Context, stream apiserverv1connect.ImageServiceImportServerStream) (*apiserverv1.ImageServiceImportResponse, error) {
	first, archive, err := receiveArchive(stream.Receive)
	if err != nil {
		return nil, err
	}
	image, err := h.images.Import(ctx, archive, first.GetReference(), apiwire.ImageRunConfigurationFromProto(first.GetRun()))
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ImageServiceImportResponse{Image: apiwire.ImageToProto(image)}, nil
}

func (h imageHarness) Save(ctx context.Context, req *apiserverv1.ImageServiceSaveRequest, stream apiserverv1connect.ImageServiceSaveServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	format, err := apiwire.ArchiveFormatFromProto(req.GetFormat())
	if err != nil {
		return err
	}
	compression, err := apiwire.CompressionFromProto(req.GetCompression())
	if err != nil {
		return err
	}
	archive := bufio.NewWriterSize(chunkWriter(func(p []byte) error {
		return stream.Send(&apiserverv1.ImageServiceSaveResponse{Data: p})
	}), chunk)
	if err := h.images.Save(ctx, archive, req.GetNames(), format, compression); err != nil {
		return err
	}
	return archive.Flush()
}

// receiveArchive returns the first message of a stream, zero if there is none, and
// the data of it and of all that follow.
func receiveArchive[M interface{ GetData() []byte }](receive func() (M, error)) (M, io.Reader, error) {
	first, err := receive()
	if err != nil && !errors.Is(err, io.EOF) {
		return first, nil, err
	}
	return first, &chunkReader{left: first.GetData(), next: func() ([]byte, error) {
		message, err := receive()
		return message.GetData(), err
	}}, nil
}

// chunkReader reads the messages of a stream one after another.
type chunkReader struct {
	left []byte
	next func() ([]byte, error)
	err  error
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.left, r.err = r.next(); errors.Is(r.err, io.EOF) {
			r.err = io.EOF // readers compare it
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// chunkWriter sends what is written as one message each.
type chunkWriter func(p []byte) error

func (w chunkWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := w(rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}
