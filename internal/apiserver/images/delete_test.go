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

	"patchbay.dev/patchbay/resource"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	s := newService(t)
	box := importBox(t, s, "x")
	if err := s.Tag(t.Context(), "box", "other.example:5000/team/box:1"); err != nil {
		t.Fatal(err)
	}
	hex := strings.TrimPrefix(box.ID, "sha256:")
	for _, name := range []string{"box", "box:latest", "other.example:5000/team/box:1", box.ID, hex, hex[:12], box.ID[:20], "box@" + box.ID} {
		if got, err := s.Resolve(t.Context(), name); err != nil || got.ID != box.ID {
			t.Errorf("%s: %s, %v", name, got.ID, err)
		}
	}
	tests := map[string]struct {
		kind error
		text string
	}{
		"none":       {errdefs.ErrNotFound, `image none: not found; pull it with "patchbay image pull none"`},
		"box:1":      {errdefs.ErrNotFound, `image box:1: not found; pull it with "patchbay image pull box:1"`},
		"team/box:1": {errdefs.ErrNotFound, `image team/box:1: not found; pull it with "patchbay image pull team/box:1"`},
		"":           {errdefs.ErrInvalidArgument, `image name "": invalid reference: want [REGISTRY/]NAME[:TAG] in lower case: invalid argument`},
		"a b":        {errdefs.ErrInvalidArgument, `image name "a b": invalid reference: want [REGISTRY/]NAME[:TAG] in lower case: invalid argument`},
		"BOX":        {errdefs.ErrInvalidArgument, `image name "BOX": invalid reference format: repository name (library/BOX) must be lowercase: want [REGISTRY/]NAME[:TAG] in lower case: invalid argument`},
	}
	for name, tt := range tests {
		_, err := s.Resolve(t.Context(), name)
		wantKind(t, err, tt.kind)
		if err.Error() != tt.text {
			t.Errorf("error = %s\nwant    %s", err, tt.text)
		}
	}
}

func TestResolveAmbiguous(t *testing.T) {
	t.Parallel()
	x := &index{records: map[string]Record{"sha256:aaaa1": {}, "sha256:aaaa2": {}}, references: map[string]string{}}
	_, err := x.resolve("aaaa")
	wantKind(t, err, errdefs.ErrInvalidArgument)
	if want := "image aaaa: 2 images fit: sha256:aaaa1, sha256:aaaa2; give more of the digest: invalid argument"; err.Error() != want {
		t.Errorf("error = %s\nwant    %s", err, want)
	}
}

func TestTagMovesAName(t *testing.T) {
	t.Parallel()
	s := newService(t)
	first := importBox(t, s, "1")
	second := importBox(t, s, "2")
	if got, _ := s.Get(t.Context(), first.ID); len(got.Status.References) != 0 {
		t.Errorf("the first image is still called %v", got.Status.References)
	}
	if got, _ := s.Get(t.Context(), "box"); got.ID != second.ID {
		t.Errorf("box is %s, want %s", got.ID, second.ID)
	}
	wantKind(t, s.Tag(t.Context(), "none", "x"), errdefs.ErrNotFound)
	wantKind(t, s.Tag(t.Context(), "box", "X"), errdefs.ErrInvalidArgument)
	wantKind(t, s.Tag(t.Context(), "box", "x@"+first.ID), errdefs.ErrInvalidArgument)
}

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

func TestUseGuardsAgainstDeletion(t *testing.T) {
	t.Parallel()
	s := newService(t)
	box := importBox(t, s, "x")
	release, err := s.Use(box.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Delete(t.Context(), "box", false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)
	if pruned, err := s.Prune(t.Context(), true); err != nil || len(pruned.Deleted) > 0 {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	release()
	release()
	if _, err := s.Delete(t.Context(), "box", false); err != nil {
		t.Fatal(err)
	}
	_, err = s.Use(box.ID)
	wantKind(t, err, errdefs.ErrNotFound)
}

// usersCalling calls f when it is asked, as a container that is made just then.
type usersCalling struct{ f func(digest string) []string }

func (u usersCalling) ContainersUsing(digest string) []string { return u.f(digest) }

func TestDeleteSeesAContainerThatIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var s *Service
	asked := 0
	f.config.Users = usersCalling{func(digest string) []string {
		if asked++; asked > 1 {
			return []string{"web"}
		}
		release, err := s.Use(digest)
		if err != nil {
			t.Error(err)
		}
		release() // the container is stored by now, but the answer was made before
		return nil
	}}
	s = f.start(t)
	importBox(t, s, "x")
	_, err := s.Delete(t.Context(), "box", false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)
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
	if len(s.images.pinned) > 0 {
		t.Errorf("still pinned: %v", s.images.pinned)
	}
}

// What a crash leaves behind does not become part of an image.
func TestStartRemovesUnknownLayers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := newFixture(t)
	s := f.start(t)
	ref := h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
	f.config.Images.(*memory[Record]).fail = errors.New("crash")
	if _, err := s.Pull(t.Context(), ref, "", nil); err == nil {
		t.Fatal("stored without a store")
	}
	f.config.Images.(*memory[Record]).fail = nil
	f.start(t)
	for _, file := range storedFiles(t, f) {
		if strings.HasPrefix(file, "layers/") {
			t.Errorf("still there: %s", file)
		}
	}
}
