package treecopy

import (
	"testing"

	"github.com/containerd/errdefs"
)

// The rules as other engines document them.
func TestDestination(t *testing.T) {
	t.Parallel()
	file, dir, contents := Source{Name: "f"}, Source{Name: "d", Directory: true}, Source{Name: ".", Directory: true, Contents: true}
	nothing, fileThere, dirThere, noParent := situation{parent: true}, situation{exists: true, parent: true}, situation{exists: true, directory: true, parent: true}, situation{}
	for _, test := range []struct {
		source Source
		to     string
		found  situation
		want   place
		is     func(error) bool
	}{
		{file, "/x/new", nothing, place{"/x", "new"}, nil},
		{file, "/x/new/", nothing, place{}, errdefs.IsNotFound},
		{file, "/x/there", fileThere, place{"/x", "there"}, nil},
		{file, "/x/there/", fileThere, place{}, errdefs.IsInvalidArgument},
		{file, "/x/dir", dirThere, place{"/x/dir", "f"}, nil},
		{file, "/x/dir/", dirThere, place{"/x/dir", "f"}, nil},
		{file, "/x/dir/.", dirThere, place{"/x/dir", "f"}, nil},
		{file, "/", dirThere, place{"/", "f"}, nil},
		{file, "/no/where", noParent, place{}, errdefs.IsNotFound},
		{dir, "/x/new", nothing, place{"/x", "new"}, nil},
		{dir, "/x/new/", nothing, place{"/x", "new"}, nil},
		{dir, "/x/there", fileThere, place{}, errdefs.IsInvalidArgument},
		{dir, "/x/dir", dirThere, place{"/x/dir", "d"}, nil},
		{dir, "/no/where", noParent, place{}, errdefs.IsNotFound},
		{contents, "/x/new", nothing, place{"/x", "new"}, nil},
		{contents, "/x/there", fileThere, place{}, errdefs.IsInvalidArgument},
		{contents, "/x/dir", dirThere, place{"/x/dir", "."}, nil},
		{contents, "relative/../x", nothing, place{"/", "x"}, nil},
	} {
		got, err := destination(test.to, test.source, test.found)
		if got != test.want || (err == nil) != (test.is == nil) || err != nil && !test.is(err) {
			t.Errorf("%+v to %s, where %+v is: got %+v, %v", test.source, test.to, test.found, got, err)
		}
	}
}

func TestRenamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		top, name, entry, want string
	}{
		{"d", "n", "d", "n"},
		{"d", "n", "d/", "n"},
		{"d", "n", "d/a/b", "n/a/b"},
		{"d", "d", "./d/a", "d/a"},
		{".", "n", "./", "n"},
		{".", "n", "./a", "n/a"},
		{".", ".", "a/b", "a/b"},
		{"d", "n", "other", ""},
		{"d", "n", "dd/a", ""},
		{"d", "n", "d/../x", ""},
		{".", ".", "../x", ""},
		{".", ".", "a/../../x", ""},
		{".", ".", "..", ""},
		{".", ".", "/etc/passwd", ""},
	} {
		got, err := renamed(test.entry, Source{Name: test.top}, test.name)
		if got != test.want || (err == nil) != (test.want != "") || err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("entry %q below %q as %q: got %q, %v", test.entry, test.top, test.name, got, err)
		}
	}
}
