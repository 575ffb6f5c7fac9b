package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// fakeImages answers with what it was asked.
type fakeImages struct {
	begun    chan struct{} // an archive is being read
	received chan error    // how that ended
}

func (fakeImages) List(context.Context) ([]resource.Image, error) {
	return []resource.Image{named("a"), named("b")}, nil
}

func (fakeImages) Get(_ context.Context, name string) (resource.Image, error) {
	if name == "none" {
		return resource.Image{}, fmt.Errorf("image %s: is not there: %w", name, errdefs.ErrNotFound)
	}
	return named(name), nil
}

func (fakeImages) Tag(_ context.Context, name, reference string) error {
	return fmt.Errorf("tag %s %s: %w", name, reference, errdefs.ErrFailedPrecondition)
}

func (fakeImages) Delete(_ context.Context, name string, force bool) (resource.ImageDeletion, error) {
	return resource.ImageDeletion{Untagged: []string{name}, Deleted: []string{fmt.Sprint(force)}}, nil
}

func (fakeImages) Prune(_ context.Context, all bool) (resource.ImagePrune, error) {
	return resource.ImagePrune{Deleted: []string{fmt.Sprint(all)}, ReclaimedBytes: 7}, nil
}

func (fakeImages) Pull(_ context.Context, ref, platform string, progress func(resource.TransferProgress)) (resource.Image, error) {
	progress(resource.TransferProgress{ID: platform, Step: resource.TransferDownload, Current: 1, Total: 2})
	if ref == "none" {
		return resource.Image{}, fmt.Errorf("image %s: is not there: %w", ref, errdefs.ErrNotFound)
	}
	return named(ref), nil
}

func (fakeImages) Push(_ context.Context, ref, destination string, progress func(resource.TransferProgress)) (string, error) {
	progress(resource.TransferProgress{Step: resource.TransferUpload})
	return ref + ">" + destination, nil
}

func (f fakeImages) Load(_ context.Context, r io.Reader, reference string) ([]resource.Image, error) {
	f.begun <- struct{}{}
	content, err := io.ReadAll(r)
	f.received <- err
	return []resource.Image{named(fmt.Sprintf("%s:%d", reference, len(content)))}, err
}

func (f fakeImages) Import(_ context.Context, r io.Reader, reference string, run resource.ImageRunConfiguration) (resource.Image, error) {
	content, err := io.ReadAll(r)
	f.received <- err
	return resource.Image{
		Metadata:      resource.Metadata{Name: fmt.Sprintf("%s:%d", reference, len(content))},
		Configuration: resource.ImageConfiguration{Run: run},
	}, err
}

func (fakeImages) Save(_ context.Context, w io.Writer, names []string, format resource.ArchiveFormat, compression resource.Compression) error {
	_, err := fmt.Fprint(w, names, format, compression, strings.Repeat("x", 3*chunk))
	return err
}

func named(name string) resource.Image {
	return resource.Image{Metadata: resource.Metadata{Name: name}}
}

func (fakeImages) Login(_ context.Context, registry, username, password string) error {
	return fmt.Errorf("%s %s %s: %w", registry, username, password, errdefs.ErrUnauthenticated)
}

func (fakeImages) Logout(_ context.Context, registry string) error {
	return fmt.Errorf("%s: %w", registry, errdefs.ErrNotFound)
}

func (fakeImages) Logins(context.Context) ([]resource.RegistryLogin, error) {
	return []resource.RegistryLogin{{Registry: "r", Username: "u"}}, nil
}

func serveImages(t *testing.T) (*apiclient.Client, fakeImages) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	fake := fakeImages{begun: make(chan struct{}, 1), received: make(chan error, 1)}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) {
			apiserverv1connect.RegisterImageServiceHandler(s, NewImages(fake))
			apiserverv1connect.RegisterRegistryServiceHandler(s, NewRegistries(fake))
		},
		Log: slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	c := apiclient.Dial(socket)
	t.Cleanup(func() {
		c.Close()
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, fake
}

func TestImageCatalog(t *testing.T) {
	t.Parallel()
	c, _ := serveImages(t)
	list, err := c.Images.List(t.Context(), &apiserverv1.ImageServiceListRequest{})
	if err != nil || len(list.GetImages()) != 2 || list.GetImages()[1].GetMetadata().GetName() != "b" {
		t.Errorf("list: %v, %v", list, err)
	}
	got, err := c.Images.Get(t.Context(), &apiserverv1.ImageServiceGetRequest{Name: "a"})
	if err != nil || got.GetImage().GetMetadata().GetName() != "a" {
		t.Errorf("get: %v, %v", got, err)
	}
	if _, err := c.Images.Get(t.Context(), &apiserverv1.ImageServiceGetRequest{Name: "none"}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("get: error = %v, want not found", err)
	}
	if _, err := c.Images.Tag(t.Context(), &apiserverv1.ImageServiceTagRequest{Name: "a", Reference: "b"}); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("tag: error = %v, want failed precondition", err)
	}
	deleted, err := c.Images.Delete(t.Context(), &apiserverv1.ImageServiceDeleteRequest{Name: "a", Force: true})
	if err != nil || !cmp.Equal(deleted.GetUntagged(), []string{"a"}) || !cmp.Equal(deleted.GetDeleted(), []string{"true"}) {
		t.Errorf("delete: %v, %v", deleted, err)
	}
	pruned, err := c.Images.Prune(t.Context(), &apiserverv1.ImageServicePruneRequest{All: true})
	if err != nil || !cmp.Equal(pruned.GetDeleted(), []string{"true"}) || pruned.GetReclaimedBytes() != 7 {
		t.Errorf("prune: %v, %v", pruned, err)
	}
}

func TestImagePullAndPush(t *testing.T) {
	t.Parallel()
	c, _ := serveImages(t)
	stream, err := c.Images.Pull(t.Context(), &apiserverv1.ImageServicePullRequest{Reference: "a", Platform: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	first, err := stream.Receive()
	if err != nil {
		t.Fatal(err)
	}
	want := resource.TransferProgress{ID: "p", Step: resource.TransferDownload, Current: 1, Total: 2}
	if diff := cmp.Diff(want, apiwire.TransferProgressFromProto(first.GetProgress())); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if last, err := stream.Receive(); err != nil || last.GetImage().GetMetadata().GetName() != "a" {
		t.Errorf("last message: %v, %v", last, err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}

	failing, err := c.Images.Pull(t.Context(), &apiserverv1.ImageServicePullRequest{Reference: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer failing.Close()
	if _, err := failing.Receive(); err != nil {
		t.Fatal(err)
	}
	if _, err := failing.Receive(); !errors.Is(err, errdefs.ErrNotFound) || err.Error() != "image none: is not there" {
		t.Errorf("error = %v, want not found", err)
	}

	push, err := c.Images.Push(t.Context(), &apiserverv1.ImageServicePushRequest{Reference: "a", Destination: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	if m, err := push.Receive(); err != nil || m.GetProgress().GetStep() != "upload" {
		t.Errorf("progress: %v, %v", m, err)
	}
	if m, err := push.Receive(); err != nil || m.GetDigest() != "a>b" {
		t.Errorf("digest: %v, %v", m, err)
	}
}

func TestImageArchivesIn(t *testing.T) {
	t.Parallel()
	c, fake := serveImages(t)
	load, err := c.Images.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		message := &apiserverv1.ImageServiceLoadRequest{Data: bytes.Repeat([]byte("x"), i*100000)}
		if i == 0 {
			message.Reference = "ref"
		}
		if err := load.Send(message); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := load.CloseAndReceive()
	if err != nil || loaded.GetImages()[0].GetMetadata().GetName() != "ref:300000" {
		t.Errorf("load: %v, %v", loaded, err)
	}
	<-fake.received

	run := resource.ImageRunConfiguration{Cmd: []string{"sh"}, Env: []string{"A=b"}}
	imports, err := c.Images.Import(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := imports.Send(&apiserverv1.ImageServiceImportRequest{Reference: "ref", Data: []byte("abc"), Run: apiwire.ImageRunConfigurationToProto(run)}); err != nil {
		t.Fatal(err)
	}
	imported, err := imports.CloseAndReceive()
	if err != nil || imported.GetImage().GetMetadata().GetName() != "ref:3" {
		t.Errorf("import: %v, %v", imported, err)
	}
	if diff := cmp.Diff(run, apiwire.ImageRunConfigurationFromProto(imported.GetImage().GetConfiguration().GetRun())); diff != "" {
		t.Errorf("run configuration (-want +got):\n%s", diff)
	}
	<-fake.received
}

// An upload that is given up must not look like a complete archive.
func TestImageArchiveGivenUp(t *testing.T) {
	t.Parallel()
	c, fake := serveImages(t)
	ctx, cancel := context.WithCancel(t.Context())
	load, err := c.Images.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Send(&apiserverv1.ImageServiceLoadRequest{Data: []byte("half")}); err != nil {
		t.Fatal(err)
	}
	<-fake.begun
	cancel()
	if err := <-fake.received; err == nil {
		t.Error("the service read a complete archive")
	}
}

func TestImageSave(t *testing.T) {
	t.Parallel()
	c, _ := serveImages(t)
	save, err := c.Images.Save(t.Context(), &apiserverv1.ImageServiceSaveRequest{
		Names: []string{"a", "b"}, Format: apiserverv1.ArchiveFormat_ARCHIVE_FORMAT_DOCKER, Compression: apiserverv1.Compression_COMPRESSION_ZSTD,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer save.Close()
	var got []byte
	for {
		m, err := save.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.GetData()...)
	}
	if want := "[a b]dockerzstd" + strings.Repeat("x", 3*chunk); string(got) != want {
		t.Errorf("received %d bytes, beginning with %.20q; want %d", len(got), got, len(want))
	}
	bad, err := c.Images.Save(t.Context(), &apiserverv1.ImageServiceSaveRequest{Format: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if _, err := bad.Receive(); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("error = %v, want invalid argument", err)
	}
}

func TestRegistries(t *testing.T) {
	t.Parallel()
	c, _ := serveImages(t)
	_, err := c.Registries.Login(t.Context(), &apiserverv1.LoginRequest{Registry: "r", Username: "u", Password: "p"})
	if !errors.Is(err, errdefs.ErrUnauthenticated) || !strings.HasPrefix(err.Error(), "r u p") {
		t.Errorf("login: %v", err)
	}
	if _, err := c.Registries.Logout(t.Context(), &apiserverv1.LogoutRequest{Registry: "r"}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("logout: %v", err)
	}
	list, err := c.Registries.List(t.Context(), &apiserverv1.RegistryServiceListRequest{})
	if err != nil || len(list.GetLogins()) != 1 || list.GetLogins()[0].GetUsername() != "u" {
		t.Errorf("list: %v, %v", list, err)
	}
}
