package catalog

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	var events told
	config := newConfig()
	config.Events = &events
	c := open(t, config)
	box := add(t, c, "a", "box", "second")
	steps := []struct {
		name  string
		force bool
		want  resource.ImageDeletion
		text  string
	}{
		{"none", false, resource.ImageDeletion{}, "image none: is not here: not found"}, // who deletes wants no pull
		{box, false, resource.ImageDeletion{}, "image " + box + ": has the names box:latest, second:latest: delete them, or use --force: failed precondition"},
		{"box", false, resource.ImageDeletion{Untagged: []string{"box:latest"}}, ""},
		{box[:20], false, resource.ImageDeletion{Untagged: []string{"second:latest"}, Deleted: []string{box}}, ""},
	}
	for _, s := range steps {
		got, _, err := c.Delete(s.name, s.force)
		if s.text == "" && err != nil || s.text != "" && (err == nil || err.Error() != s.text) {
			t.Errorf("delete %s: %v, want %q", s.name, err, s.text)
		}
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("delete %s (-want +got):\n%s", s.name, diff)
		}
	}
	if diff := cmp.Diff(told{"pull box:latest", "pull second:latest", "untag box:latest", "untag second:latest", "delete " + box}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if left := open(t, config).List(); len(left) > 0 {
		t.Errorf("still stored: %v", left)
	}
}

func TestUseGuardsAgainstDeletion(t *testing.T) {
	t.Parallel()
	c := open(t, newConfig())
	box := add(t, c, "a", "box")
	first, err := c.Use(box)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Use(box)
	if err != nil {
		t.Fatal(err)
	}
	first()
	first() // does not count twice
	_, _, err = c.Delete("box", false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)
	if deleted, err := c.Prune(true); err != nil || len(deleted) > 0 {
		t.Errorf("pruned %v, %v", deleted, err)
	}
	second()
	if _, _, err := c.Delete("box", false); err != nil {
		t.Fatal(err)
	}
	_, err = c.Use(box)
	wantKind(t, err, errdefs.ErrNotFound)
}

func TestDeleteSeesAContainerThatIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	var c *Catalog
	times := 0
	config := newConfig()
	config.Users = asked(func(digest string) []string {
		if times++; times > 1 {
			return []string{"web"}
		}
		release, err := c.Use(digest)
		if err != nil {
			t.Error(err)
			return nil
		}
		release() // the container is stored by now, but the answer was made before
		return nil
	})
	c = open(t, config)
	add(t, c, "a", "box")
	_, _, err := c.Delete("box", false)
	wantKind(t, err, errdefs.ErrFailedPrecondition)
}

// A name that moves while users are asked is looked up again.
func TestDeleteOfANameThatMovesMeanwhile(t *testing.T) {
	t.Parallel()
	var c *Catalog
	moved := false
	config := newConfig()
	config.Users = asked(func(string) []string {
		if !moved {
			moved = true
			if err := c.Tag(digestOf("2"), "box"); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	c = open(t, config)
	first := add(t, c, "1", "box")
	second := add(t, c, "2")
	deletion, _, err := c.Delete("box", false)
	if err != nil || !cmp.Equal(deletion.Deleted, []string{second}) {
		t.Errorf("deleted %v, %v; want %s", deletion, err, second)
	}
	if _, err := c.Get(first); err != nil {
		t.Error(err)
	}
}

// What is done with an image while users are asked who uses it keeps it, and no
// other image, from being pruned.
func TestPruneKeepsWhatIsTouchedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, touch := range map[string]func(t *testing.T, c *Catalog, digest string){
		"tagged": func(t *testing.T, c *Catalog, digest string) {
			if err := c.Tag(digest, "new"); err != nil {
				t.Error(err)
			}
		},
		"tagged as it is": func(t *testing.T, c *Catalog, digest string) {
			if err := c.Tag(digest, "box"); err != nil {
				t.Error(err)
			}
		},
		"pulled": func(t *testing.T, c *Catalog, _ string) { add(t, c, "2", "box") },
		"used": func(t *testing.T, c *Catalog, digest string) {
			release, err := c.Use(digest)
			if err != nil {
				t.Error(err)
				return
			}
			release()
		},
		"deleted and pulled": func(t *testing.T, c *Catalog, digest string) {
			if err := c.remove(c.images[digest]); err != nil {
				t.Error(err)
			}
			add(t, c, "2", "box")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c *Catalog
			config := newConfig()
			config.Users = asked(func(digest string) []string {
				if digest == digestOf("2") {
					touch(t, c, digest)
				}
				return nil
			})
			c = open(t, config)
			add(t, c, "1", "other")
			kept := add(t, c, "2", "box")
			add(t, c, "3")
			deleted, err := c.Prune(true)
			if err != nil || !cmp.Equal(deleted, []string{digestOf("3"), digestOf("1")}) {
				t.Errorf("pruned %v, %v; want the others", deleted, err)
			}
			if got, err := c.Resolve("box"); err != nil || got.ID != kept {
				t.Errorf("box = %v, %v", got.ID, err)
			}
		})
	}
}

// Without all, images with a name stay, also one that was named meanwhile.
func TestPruneOfTheNameless(t *testing.T) {
	t.Parallel()
	var c *Catalog
	config := newConfig()
	config.Users = asked(func(digest string) []string {
		if digest == digestOf("2") {
			if err := c.Tag(digest, "box"); err != nil {
				t.Error(err)
			}
		}
		if digest == digestOf("4") {
			return []string{"web"}
		}
		return nil
	})
	c = open(t, config)
	add(t, c, "1", "named")
	for _, digit := range []string{"2", "3", "4"} {
		add(t, c, digit)
	}
	deleted, err := c.Prune(false)
	if err != nil || !slices.Equal(deleted, []string{digestOf("3")}) {
		t.Errorf("pruned %v, %v", deleted, err)
	}
}
