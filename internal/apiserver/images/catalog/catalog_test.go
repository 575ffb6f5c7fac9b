package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog/catalogtest"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// asked calls f when it is asked who uses an image.
type asked func(digest string) []string

func (f asked) ContainersUsing(digest string) []string { return f(digest) }

// told notes events as "ACTION NAME".
type told []string

func (l *told) Publish(e event.Event) { *l = append(*l, e.Action+" "+e.Name) }

func newConfig() Config {
	return Config{Images: catalogtest.NewMemory[Record](), References: catalogtest.NewMemory[Reference]()}
}

func open(t *testing.T, config Config) *Catalog {
	t.Helper()
	c, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// digestOf makes the digest of a test's image out of one hexadecimal digit.
func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// add adds an image with names, the later the greater its digit.
func add(t *testing.T, c *Catalog, digit string, names ...string) string {
	t.Helper()
	record := Record{Configuration: resource.ImageConfiguration{Digest: digestOf(digit)}, CreatedAt: time.Unix(int64(digit[0]), 0)}
	var complete []string
	for _, name := range names {
		n, err := ParseTag(name)
		if err != nil {
			t.Fatal(err)
		}
		complete = append(complete, n)
	}
	list, err := c.Add(event.ActionPull, Addition{Record: record, Names: complete})
	if err != nil || len(list) != 1 || list[0].ID != digestOf(digit) {
		t.Fatalf("added %v, %v", list, err)
	}
	return digestOf(digit)
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error = %v, want %v", err, kind)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	c := open(t, newConfig())
	box := add(t, c, "a", "box", "other.example:5000/team/box:1")
	hex := strings.TrimPrefix(box, "sha256:")
	for _, name := range []string{"box", "box:latest", "other.example:5000/team/box:1", box, hex, hex[:12], box[:20], "box@" + box} {
		if got, err := c.Resolve(name); err != nil || got.ID != box {
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
		_, err := c.Resolve(name)
		wantKind(t, err, tt.kind)
		if err.Error() != tt.text {
			t.Errorf("error = %s\nwant    %s", err, tt.text)
		}
	}
}

func TestResolveAmbiguous(t *testing.T) {
	t.Parallel()
	c := &Catalog{images: map[string]*image{"sha256:aaaa1": {}, "sha256:aaaa2": {}}}
	_, err := c.Resolve("aaaa")
	wantKind(t, err, errdefs.ErrInvalidArgument)
	if want := "image aaaa: 2 images fit: sha256:aaaa1, sha256:aaaa2; give more of the digest: invalid argument"; err.Error() != want {
		t.Errorf("error = %s\nwant    %s", err, want)
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	config := newConfig()
	c := open(t, config)
	first, second := add(t, c, "1", "a", "box"), add(t, c, "2")
	if err := c.Tag(second[:20], "box"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Catalog{c, open(t, config)} { // names are stored
		if got, err := c.Get(first); err != nil || !cmp.Equal(got.Status.References, []string{"a:latest"}) || got.Name != "a:latest" {
			t.Errorf("the first image is called %v, %v", got.Status.References, err)
		}
		if got, err := c.Get("box"); err != nil || got.ID != second {
			t.Errorf("box is %s, %v; want %s", got.ID, err, second)
		}
	}
	wantKind(t, c.Tag("none", "x"), errdefs.ErrNotFound)
	wantKind(t, c.Tag("box", "X"), errdefs.ErrInvalidArgument)
	wantKind(t, c.Tag("box", "x@"+first), errdefs.ErrInvalidArgument)
}

func TestListIsNewestFirst(t *testing.T) {
	t.Parallel()
	config := newConfig()
	config.Users = asked(func(digest string) []string { return []string{"user of " + digest[7:8]} })
	c := open(t, config)
	for _, digit := range []string{"2", "3", "1"} {
		add(t, c, digit)
	}
	var got []string
	for _, i := range c.List() {
		got = append(got, i.Status.Containers...)
	}
	if diff := cmp.Diff([]string{"user of 3", "user of 2", "user of 1"}, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// A crash between an image and its name may leave either.
func TestOpenLeavesOutWhatLeadsNowhere(t *testing.T) {
	t.Parallel()
	config := newConfig()
	add(t, open(t, config), "1", "box")
	if err := config.Images.Delete(digestOf("1")); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, config).Resolve("box")
	wantKind(t, err, errdefs.ErrNotFound)
}

func TestAddTellsOfNames(t *testing.T) {
	t.Parallel()
	var events told
	config := newConfig()
	config.Events = &events
	c := open(t, config)
	one := Addition{Record: Record{Configuration: resource.ImageConfiguration{Digest: digestOf("1")}}, Names: []string{"hub.example/a:1"}}
	again := Addition{Record: one.Record, Names: []string{"hub.example/b:1", "hub.example/c:1"}}
	list, err := c.Add(event.ActionLoad, one, again, Addition{Record: Record{Configuration: resource.ImageConfiguration{Digest: digestOf("2")}}})
	if err != nil || len(list) != 2 || !cmp.Equal(list[0].Status.References, []string{"hub.example/a:1", "hub.example/b:1", "hub.example/c:1"}) {
		t.Errorf("added %v, %v", list, err)
	}
	if diff := cmp.Diff(told{"load hub.example/a:1", "load hub.example/b:1", "load hub.example/c:1", "load " + digestOf("2")}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
