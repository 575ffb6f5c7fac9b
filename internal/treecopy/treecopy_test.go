package treecopy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// plant makes a tree of what is said of it, a line for each: "d MODE PATH",
// "f MODE PATH CONTENT", "l PATH TARGET", "h PATH OTHER", "p PATH".
func plant(t *testing.T, root string, lines ...string) string {
	t.Helper()
	for _, line := range lines {
		w := strings.Split(line, " ")
		at := func(i int) string { return filepath.Join(root, w[i]) }
		mode := func() os.FileMode {
			m, err := parseMode(w[1])
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		var err error
		switch w[0] {
		case "d":
			err = errors.Join(os.MkdirAll(at(2), 0o755), os.Chmod(at(2), mode()))
		case "f":
			err = errors.Join(os.MkdirAll(filepath.Dir(at(2)), 0o755), os.WriteFile(at(2), []byte(w[3]), 0o600), os.Chmod(at(2), mode()))
		case "l":
			err = errors.Join(os.MkdirAll(filepath.Dir(at(1)), 0o755), os.Symlink(w[2], at(1)))
		case "h":
			err = os.Link(at(2), at(1))
		case "p":
			err = unix.Mkfifo(at(1), 0o600)
		default:
			t.Fatalf("line %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func parseMode(s string) (os.FileMode, error) {
	var m os.FileMode
	for _, c := range s {
		if c < '0' || c > '7' {
			return 0, errors.New("mode " + s)
		}
		m = m<<3 | os.FileMode(c-'0')
	}
	if m&0o4000 != 0 {
		m = m&0o777 | os.ModeSetuid
	}
	return m, nil
}

// look describes a tree, a line for each entry.
func look(t *testing.T, root string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		out.WriteString(info.Mode().String() + " " + name)
		switch {
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(p)
			out.WriteString(" -> " + target)
		case d.Type().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			out.WriteString(" " + string(content))
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return out.String()
}

func container(t *testing.T, root string) *Tree {
	t.Helper()
	tree, err := Container(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

func host(t *testing.T) *Tree {
	t.Helper()
	tree, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

// copied copies a path of one tree to one of another.
func copied(t *testing.T, from *Tree, source string, follow bool, to *Tree, target string, keep bool) ([]string, error) {
	t.Helper()
	item, err := from.Item(source, follow)
	if err != nil {
		return nil, err
	}
	defer item.Close()
	r, w := io.Pipe()
	left := make(chan []string, 1)
	go func() {
		names, err := item.Pack(context.Background(), w)
		w.CloseWithError(err)
		left <- names
	}()
	more, err := to.Unpack(context.Background(), r, target, Arrival{Source: &item.Source, Keep: keep})
	r.CloseWithError(errors.New("not read any more"))
	return append(<-left, more...), err
}

func TestCopy(t *testing.T) {
	t.Parallel()
	at := time.Date(2001, 2, 3, 4, 5, 6, 700, time.UTC)
	for name, test := range map[string]struct {
		source, target string
		follow         bool
		there          []string // at the target's side
		want           string
		is             func(error) bool
	}{
		"file, new name":             {"/d/f", "/x", false, nil, "-rw-r----- x F\n", nil},
		"file into a directory":      {"/d/f", "/e", false, []string{"d 755 e"}, "drwxr-xr-x e\n-rw-r----- e/f F\n", nil},
		"file over a file":           {"/d/f", "/x", false, []string{"f 600 x old", "h y x"}, "-rw-r----- x F\n-rw------- y old\n", nil},
		"file over a link":           {"/d/f", "/x/f", false, []string{"d 755 x", "f 600 y old", "l x/f ../y"}, "drwxr-xr-x x\n-rw-r----- x/f F\n-rw------- y old\n", nil},
		"file, by a link":            {"/d/f", "/x", false, []string{"d 700 y", "l x /y"}, "Lrwxrwxrwx x -> /y\ndrwx------ y\n-rw-r----- y/f F\n", nil},
		"directory, new name":        {"/d", "/x", false, nil, "drwxr-x--- x\n-rw-r----- x/f F\nLrwxrwxrwx x/l -> f\nprw------- x/p\ndrwxr-xr-x x/s\n-rwxr-xr-x x/s/g G\n-rwxr-xr-x x/s/h G\n", nil},
		"directory into another":     {"/d/s", "/x", false, []string{"d 700 x"}, "drwx------ x\ndrwxr-xr-x x/s\n-rwxr-xr-x x/s/g G\n-rwxr-xr-x x/s/h G\n", nil},
		"contents":                   {"/d/s/.", "/x", false, []string{"d 700 x", "f 600 x/g old", "f 600 x/other o"}, "drwx------ x\n-rwxr-xr-x x/g G\n-rwxr-xr-x x/h G\n-rw------- x/other o\n", nil},
		"contents, new name":         {"/d/s/.", "/x", false, nil, "drwxr-xr-x x\n-rwxr-xr-x x/g G\n-rwxr-xr-x x/h G\n", nil},
		"a link is a link":           {"/d/l", "/x", false, nil, "Lrwxrwxrwx x -> f\n", nil},
		"a link is followed":         {"/d/l", "/x", true, nil, "-rw-r----- x F\n", nil},
		"a link stays in the root":   {"/up", "/x", true, nil, "-rw-r----- x F\n", nil},
		"a path by a link to a root": {"/top/d/f", "/x", false, nil, "-rw-r----- x F\n", nil},
		"merged by a link":           {"/d/.", "/x", false, []string{"d 755 x", "d 700 y", "l x/s ../y"}, "drwxr-xr-x x\n-rw-r----- x/f F\nLrwxrwxrwx x/l -> f\nprw------- x/p\nLrwxrwxrwx x/s -> ../y\ndrwx------ y\n-rwxr-xr-x y/g G\n-rwxr-xr-x y/h G\n", nil},
		"not there":                  {"/none", "/x", false, nil, "", errdefs.IsNotFound},
		"not a directory":            {"/d/f/", "/x", false, nil, "", errdefs.IsInvalidArgument},
		"directory over a file":      {"/d", "/x", false, []string{"f 600 x old"}, "-rw------- x old\n", errdefs.IsInvalidArgument},
		"file over a directory":      {"/d/.", "/x", false, []string{"d 755 x/f"}, "", errdefs.IsFailedPrecondition},
		"no parent":                  {"/d/f", "/a/b", false, nil, "", errdefs.IsNotFound},
		"to a link to nothing":       {"/d/f", "/x", false, []string{"l x /none"}, "Lrwxrwxrwx x -> /none\n", errdefs.IsInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := plant(t, t.TempDir(), "d 750 d", "f 640 d/f F", "l d/l f", "p d/p", "f 4755 d/s/g G", "h d/s/h d/s/g", "l up ../../../d/f", "l top /")
			if err := os.Chtimes(filepath.Join(from, "d/f"), at, at); err != nil {
				t.Fatal(err)
			}
			to := plant(t, t.TempDir(), test.there...)
			left, err := copied(t, container(t, from), test.source, test.follow, container(t, to), test.target, false)
			if (err == nil) != (test.is == nil) || err != nil && !test.is(err) || len(left) != 0 {
				t.Errorf("left out %q, error %v", left, err)
			}
			if got := look(t, to); test.want != "" && got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
			if strings.Contains(look(t, to), ".patchbay-") {
				t.Errorf("left:\n%s", look(t, to))
			}
			if info, err := os.Stat(filepath.Join(to, "x")); err == nil && test.source == "/d/f" && info.Mode().IsRegular() && test.is == nil && !info.ModTime().Equal(at) {
				t.Errorf("time %v, want %v", info.ModTime(), at)
			}
		})
	}
}

func TestHardLinksStay(t *testing.T) {
	t.Parallel()
	from, to := plant(t, t.TempDir(), "f 644 d/a/one x", "d 755 d/b", "h d/b/two d/a/one"), t.TempDir()
	for range 2 { // the second time over the first
		if _, err := copied(t, container(t, from), "/d", false, host(t), filepath.Join(to, "."), false); err != nil {
			t.Fatal(err)
		}
	}
	one, err1 := os.Stat(filepath.Join(to, "d/a/one"))
	two, err2 := os.Stat(filepath.Join(to, "d/b/two"))
	if err1 != nil || err2 != nil || !os.SameFile(one, two) {
		t.Errorf("%v, %v: want one file; %v, %v", one, two, err1, err2)
	}
}

func TestWithoutSize(t *testing.T) {
	t.Parallel()
	to := t.TempDir()
	if _, err := copied(t, host(t), "/proc/self/status", true, host(t), filepath.Join(to, "status"), false); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(to, "status")); err != nil || !strings.Contains(string(content), "Pid:") {
		t.Errorf("content %q, %v", content, err)
	}
	left, err := copied(t, host(t), "/dev/null", false, host(t), to, false)
	if err != nil || !slices.Equal(left, []string{"null"}) {
		t.Errorf("a device: left out %q, %v", left, err)
	}
}

type member struct {
	header  tar.Header
	content string
}

func archive(t *testing.T, members ...member) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.header.Size = int64(len(m.content))
		if m.header.Mode == 0 {
			m.header.Mode = 0o644
		}
		if err := w.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func file(name string) member { return member{tar.Header{Typeflag: tar.TypeReg, Name: name}, "evil"} }

func linkTo(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}, ""}
}

// What a hostile container sends changes nothing outside of where it goes, on the
// host and in a container alike.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	dir := member{tar.Header{Typeflag: tar.TypeDir, Name: "in", Mode: 0o755}, ""}
	for name, members := range map[string][]member{
		"a name with ..":                {file("../outside")},
		"a name with .. inside":         {dir, file("in/../../outside")},
		"an absolute name":              {file("/outside")},
		"below a link up":               {linkTo("in", ".."), file("in/outside")},
		"below an absolute link":        {linkTo("in", "BASE"), file("in/outside")},
		"below links":                   {dir, linkTo("in/a", ".."), linkTo("b", "in/a/.."), file("b/outside")},
		"over a link":                   {linkTo("in", "../secret"), file("in")},
		"over an absolute link":         {linkTo("in", "BASE/secret"), file("in")},
		"a directory over a link":       {linkTo("in", "../d"), member{tar.Header{Typeflag: tar.TypeDir, Name: "in", Mode: 0o777}, ""}},
		"a hard link to ..":             {member{tar.Header{Typeflag: tar.TypeLink, Name: "in", Linkname: "../secret"}, ""}, file("in")},
		"a hard link by a link":         {linkTo("up", ".."), member{tar.Header{Typeflag: tar.TypeLink, Name: "in", Linkname: "up/secret"}, ""}},
		"an absolute hard link":         {member{tar.Header{Typeflag: tar.TypeLink, Name: "in", Linkname: "BASE/secret"}, ""}},
		"a hard link to a link":         {linkTo("l", "../secret"), member{tar.Header{Typeflag: tar.TypeLink, Name: "in", Linkname: "l"}, ""}, file("in")},
		"a device":                      {member{tar.Header{Typeflag: tar.TypeBlock, Name: "disk", Devmajor: 7}, ""}, member{tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, ""}},
		"the directory itself":          {member{tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o777}, ""}},
		"the directory itself, a link":  {linkTo(".", ".."), file("outside")},
		"a FIFO of whom nobody is told": {member{tar.Header{Typeflag: tar.TypeFifo, Name: "pipe", Mode: 0o4777}, ""}},
	} {
		for _, side := range []string{"host", "container"} {
			t.Run(name+", "+side, func(t *testing.T) {
				t.Parallel()
				base := plant(t, t.TempDir(), "d 755 target", "f 600 secret untouched", "d 755 d")
				whole := slices.Clone(members)
				for i := range whole {
					whole[i].header.Linkname = strings.Replace(whole[i].header.Linkname, "BASE", base, 1)
				}
				before := outside(t, base)
				tree, target := host(t), filepath.Join(base, "target")
				if side == "container" {
					tree, target = container(t, target), "/"
				}
				_, err := tree.Unpack(context.Background(), archive(t, whole...), target, Arrival{Keep: os.Geteuid() == 0})
				if after := outside(t, base); after != before {
					t.Errorf("outside is\n%swas\n%s(%v)", after, before, err)
				}
				if err != nil && !errdefs.IsInvalidArgument(err) && !errdefs.IsFailedPrecondition(err) && !errdefs.IsNotFound(err) {
					t.Errorf("error %v", err)
				}
				for line := range strings.Lines(look(t, filepath.Join(base, "target"))) {
					if strings.HasPrefix(line, "D") || strings.HasPrefix(line, "u") {
						t.Errorf("made %s", line)
					}
				}
			})
		}
	}
}

// The name of a source is the other side's word too.
func TestHostileSources(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "..", "../x", "a/b", "/x", "."} {
		base := plant(t, t.TempDir(), "d 755 target")
		_, err := host(t).Unpack(context.Background(), archive(t, file("f")), filepath.Join(base, "target"), Arrival{Source: &Source{Name: name, Directory: true}})
		if !errdefs.IsInvalidArgument(err) || look(t, base) != "drwxr-xr-x target\n" {
			t.Errorf("source %q: error %v, made\n%s", name, err, look(t, base))
		}
	}
}

// outside is what there is beside the target, and its own mode.
func outside(t *testing.T, base string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(look(t, base)) {
		if !strings.Contains(line, " target/") {
			out = append(out, line)
		}
	}
	var info unix.Stat_t
	if err := unix.Stat(filepath.Join(base, "secret"), &info); !errors.Is(err, unix.ENOENT) && (err != nil || info.Nlink != 1) {
		t.Errorf("secret: %d names, %v", info.Nlink, err)
	}
	return strings.Join(out, "")
}

func TestBrokenArchives(t *testing.T) {
	t.Parallel()
	whole, err := io.ReadAll(archive(t, member{tar.Header{Typeflag: tar.TypeReg, Name: "f"}, strings.Repeat("x", 3000)}))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"cut short":   whole[:1500],
		"no archive":  bytes.Repeat([]byte("no archive "), 100),
		"cut at once": whole[:100],
	} {
		to := t.TempDir()
		if _, err := host(t).Unpack(context.Background(), bytes.NewReader(data), to, Arrival{}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: error %v", name, err)
		}
		if got := look(t, to); got != "" {
			t.Errorf("%s: left %s", name, got)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := host(t).Unpack(ctx, bytes.NewReader(whole), t.TempDir(), Arrival{}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if _, err := host(t).Unpack(context.Background(), bytes.NewReader(whole), filepath.Join(t.TempDir(), "none"), Arrival{}); !errdefs.IsNotFound(err) {
		t.Errorf("no directory: %v", err)
	}
}

// A container that puts links in the place of directories while it is copied from and
// to gains nothing by it.
func TestRaces(t *testing.T) {
	t.Parallel()
	base := plant(t, t.TempDir(), "d 755 root/a", "f 600 root/a/f inside", "l root/b ../../../outside", "l root/c /../outside", "f 600 outside/f secret")
	root := filepath.Join(base, "root")
	stop, swapped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swapped)
		at := func(name string) string { return filepath.Join(root, name) }
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			link := at([]string{"b", "c"}[i%2])
			for range 2 { // there and back
				_ = unix.Renameat2(unix.AT_FDCWD, at("a"), unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
			}
		}
	}()
	tree := container(t, root)
	before := outside(t, base)
	for range 300 {
		item, err := tree.Item("/.", false)
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		_, err = item.Pack(context.Background(), &packed)
		item.Close()
		if strings.Contains(packed.String(), "secret") {
			t.Fatalf("what is outside was packed (%v)", err)
		}
		_, _ = tree.Unpack(context.Background(), archive(t, file("a/f")), "/", Arrival{}) // it may be in the way of the exchange
		_, _ = tree.Unpack(context.Background(), archive(t, member{tar.Header{Typeflag: tar.TypeFifo, Name: "a/p", Mode: 0o666}, ""}), "/", Arrival{})
	}
	close(stop)
	<-swapped
	if after := outside(t, base); !sameOutside(before, after) {
		t.Errorf("outside is\n%swas\n%s", after, before)
	}
}

// sameOutside compares what is beside the root.
func sameOutside(before, after string) bool {
	only := func(all string) []string {
		return slices.DeleteFunc(strings.Split(all, "\n"), func(l string) bool { return strings.Contains(l, " root") })
	}
	return slices.Equal(only(before), only(after))
}

// A directory that a container makes deeper and deeper ends somewhere.
func TestTooDeep(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	at, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	for range maxDepth + 2 {
		if err := at.Mkdir("d", 0o755); err != nil {
			t.Fatal(err)
		}
		below, err := at.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = below
	}
	at.Close()
	item, err := container(t, root).Item("/d", false)
	if err != nil {
		t.Fatal(err)
	}
	defer item.Close()
	if _, err := item.Pack(context.Background(), io.Discard); !errdefs.IsResourceExhausted(err) {
		t.Errorf("error %v", err)
	}
}
