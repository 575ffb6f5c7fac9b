package treecopy

import (
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
)

// Source is what an archive holds.
type Source struct {
	Name      string // of the top entry, under which all others are; "." with Contents
	Directory bool
	Contents  bool // of a directory what is in it is meant, not itself: its path ends with "/."
}

// Named is the source of a path, as far as the path alone tells: a directory only
// where it has to be one.
func Named(p string) Source {
	clean, directory, contents := parse(p)
	if contents {
		return Source{Name: ".", Directory: true, Contents: true}
	}
	return Source{Name: path.Base(clean), Directory: directory}
}

// check refuses a name that the other side has made up.
func (s Source) check() error {
	if s.Contents != (s.Name == ".") || s.Name == "" || s.Name == ".." || strings.Contains(s.Name, "/") {
		return fmt.Errorf("archive: its top is said to be %q: want the name of one entry: %w", s.Name, errdefs.ErrInvalidArgument)
	}
	return nil
}

// parse takes the path of a source apart, of which a slash at the end says that it
// is a directory, and "/." that its contents are meant.
func parse(p string) (clean string, directory, contents bool) {
	clean = path.Clean("/" + p)
	contents = clean == "/" || strings.HasSuffix(p, "/.") || p == "."
	return clean, contents || strings.HasSuffix(p, "/"), contents
}

// situation is what there is at the path that something is copied to.
type situation struct {
	exists, directory bool
	parent            bool // there is a directory for it to be in
}

// place is where the top entry goes: under a name in a directory; "." is the
// directory itself.
type place struct{ directory, name string }

// destination is the rule of cp(1) for one source, as other engines have it:
// into a directory that is there, else under the name itself. A directory is never
// put in the place of something else, and the contents of one go into one alone.
func destination(to string, s Source, found situation) (place, error) {
	clean, directory, _ := parse(to)
	refuse := func(kind error, format string, args ...any) (place, error) {
		return place{}, fmt.Errorf("%s: %s: %w", to, fmt.Sprintf(format, args...), kind)
	}
	parent := path.Dir(clean)
	switch {
	case found.directory && s.Contents:
		return place{clean, "."}, nil
	case found.directory:
		return place{clean, s.Name}, nil
	case found.exists && s.Directory:
		return refuse(errdefs.ErrInvalidArgument, "is not a directory: a directory cannot be copied to it")
	case found.exists && directory:
		return refuse(errdefs.ErrInvalidArgument, "is not a directory")
	case !found.parent:
		return refuse(errdefs.ErrNotFound, "there is no directory %s for it to be in", parent)
	case !found.exists && directory && !s.Directory:
		return refuse(errdefs.ErrNotFound, "there is no such directory")
	}
	return place{parent, path.Base(clean)}, nil
}

// renamed is the name of an archive's entry when its top entry has another one.
// It is an error if the entry is not below the top, or its name leads out of it.
func renamed(entry string, s Source, name string) (string, error) {
	clean := path.Clean(entry)
	if !local(clean) {
		return "", fmt.Errorf("archive: entry %q leads out of it: %w", entry, errdefs.ErrInvalidArgument)
	}
	top := path.Clean(s.Name)
	switch {
	case top == ".":
		return path.Join(name, clean), nil
	case clean == top:
		return name, nil
	}
	rest, ok := strings.CutPrefix(clean, top+"/")
	if !ok {
		return "", fmt.Errorf("archive: entry %q is not below %q: %w", entry, s.Name, errdefs.ErrInvalidArgument)
	}
	return path.Join(name, rest), nil
}

// local says whether a clean path stays below where it is taken from.
func local(clean string) bool {
	return clean != ".." && !strings.HasPrefix(clean, "../") && !path.IsAbs(clean)
}
