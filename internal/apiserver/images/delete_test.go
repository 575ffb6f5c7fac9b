package images

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/internal/apiserver/images/catalog/catalogtest"
	"patchbay.dev/patchbay/resource"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.start(t)
	box := importBox(t, s, "x")
	if err := s.Tag(t.Context(), "box", "second"); err != nil {
		t.Fatal(err)
	}
	deletion, err := s.Delete(t.Context(), "box", false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(resource.ImageDeletion{Untagged: []string{"box:latest"}}, deletion); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if err := s.Tag(t.Context(), "second", "third"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Delete(t.Context(), box.ID, false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)

	s = f.start(t) // names are stored
	deletion, err = s.Delete(t.Context(), box.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(resource.ImageDeletion{Untagged: []string{"second:latest", "third:latest"}, Deleted: []string{box.ID}}, deletion); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
	wantEmpty(t, f)
	_, err = s.Delete(t.Context(), "box", false)
	wantKind(t, err, errdefs.ErrNotFound)
	if want := "image box: is not here: not found"; err.Error() != want { // who deletes wants no pull
		t.Errorf("error = %s\nwant    %s", err, want)
	}
	if list, _ := f.start(t).List(t.Context()); len(list) > 0 {
		t.Errorf("images after a restart: %v", list)
	}
}

func TestDeleteKeepsWhatIsShared(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s := newService(t)
	shared := layer(t, resource.CompressionGzip, entry{"a", "shared"})
	one := h.push(t, "one:1", image(t, "", shared, layer(t, resource.CompressionGzip, entry{"file", "one"})))
	two := h.push(t, "two:1", image(t, "", shared, layer(t, resource.CompressionGzip, entry{"file", "two"})))
	for _, ref := range []string{one, two} {
		if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Delete(t.Context(), one, false); err != nil {
		t.Fatal(err)
	}
	left, err := s.Get(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	dirs, _ := s.Layers(left.ID)
	if fileOf(t, s, left) != "two" || len(dirs) != 2 {
		t.Error("the other image is damaged")
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	var archive bytes.Buffer // needs every blob
	if err := s.Save(t.Context(), &archive, []string{two}, "", ""); err != nil {
		t.Error(err)
	}
}

func TestDeleteOfAnImageInUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.start(t)
	box := importBox(t, s, "x")
	f.users.data[box.ID] = []string{"web", "db"}
	_, err := s.Delete(t.Context(), "box", false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)
	if want := "image box: is used by the containers db, web: delete them, or use --force to take only its name away: failed precondition"; err.Error() != want {
		t.Errorf("error = %s\nwant    %s", err, want)
	}
	deletion, err := s.Delete(t.Context(), "box", true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(resource.ImageDeletion{Untagged: []string{"box:latest"}}, deletion); diff != "" {
		t.Errorf("forced (-want +got):\n%s", diff)
	}
	if pruned, err := s.Prune(t.Context(), true); err != nil || len(pruned.Deleted) > 0 {
		t.Errorf("pruned %v, %v; want nothing", pruned.Deleted, err)
	}
	got, err := s.Get(t.Context(), box.ID)
	if err != nil || fileOf(t, s, got) != "x" || !cmp.Equal(got.Status.Containers, []string{"web", "db"}) {
		t.Errorf("image of running containers: %+v, %v", got.Status, err)
	}
	f.users.data[box.ID] = nil
	if pruned, err := s.Prune(t.Context(), false); err != nil || !cmp.Equal(pruned.Deleted, []string{box.ID}) {
		t.Errorf("pruned %v, %v; want the image", pruned.Deleted, err)
	}
	wantEmpty(t, f)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	s := f.start(t)
	old := importBox(t, s, "old")
	current := importBox(t, s, "current")
	// An interrupted pull leaves blobs.
	big := layer(t, resource.CompressionNone, entry{"big", strings.Repeat("x", 1<<16)})
	ref := h.push(t, "box:1", image(t, "", big))
	h.setWrap(cutter(digestOf(t, big), 1000, true))
	_, err := s.Pull(t.Context(), ref, "", nil)
	wantKind(t, err, errdefs.ErrUnavailable)

	pruned, err := s.Prune(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{old.ID}, pruned.Deleted); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	if least := old.Status.SizeBytes + old.Status.UnpackedBytes + attempts*1000; pruned.ReclaimedBytes < least {
		t.Errorf("reclaimed %d bytes, want at least %d", pruned.ReclaimedBytes, least)
	}
	if files := storedFiles(t, f); len(files) != 4 { // manifest, configuration, layer, unpacked layer
		t.Errorf("left: %v", files)
	}
	if pruned, err := s.Prune(t.Context(), true); err != nil || !cmp.Equal(pruned.Deleted, []string{current.ID}) {
		t.Errorf("pruned %v, %v", pruned.Deleted, err)
	}
	wantEmpty(t, f)
}

// Pulls and deletions of images that share a layer must not harm one another:
// whatever a pull reports as stored is whole, unless it was deleted since.
func TestPullAgainstDelete(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	s := f.start(t)
	shared := layer(t, resource.CompressionGzip, entry{"a", strings.Repeat("shared", 1000)})
	const images = 4
	var refs [images]string
	for i := range images {
		refs[i] = h.push(t, fmt.Sprintf("box:%d", i), image(t, "", shared, layer(t, resource.CompressionGzip, entry{"file", fmt.Sprint(i)})))
	}
	var group errgroup.Group
	for i, ref := range refs {
		group.Go(func() error {
			for range 15 {
				got, err := s.Pull(t.Context(), ref, "", nil)
				if err != nil {
					return err
				}
				if content := fileOf(t, s, got); content != fmt.Sprint(i) {
					return fmt.Errorf("%s: file = %q", ref, content)
				}
				var archive bytes.Buffer
				if err := s.Save(t.Context(), &archive, []string{ref}, "", ""); err != nil {
					return err
				}
				if _, err := s.Delete(t.Context(), ref, false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for range 30 {
			if _, err := s.Prune(t.Context(), false); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, f)
}

// What a crash leaves behind does not become part of an image.
func TestStartRemovesUnknownLayers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	s := f.start(t)
	ref := h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
	records := f.config.Catalog.Images.(*catalogtest.Memory[catalog.Record])
	records.Fail(errors.New("crash"))
	if _, err := s.Pull(t.Context(), ref, "", nil); err == nil {
		t.Fatal("stored without a store")
	}
	records.Fail(nil)
	f.start(t)
	for _, file := range storedFiles(t, f) {
		if strings.HasPrefix(file, "layers/") {
			t.Errorf("still there: %s", file)
		}
	}
}
