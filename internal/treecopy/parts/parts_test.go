package parts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy"
)

// queue gives parts one after another.
func queue(list ...*typesv1.CopyPart) func() (*typesv1.CopyPart, error) {
	return func() (*typesv1.CopyPart, error) {
		if len(list) == 0 {
			return nil, io.EOF
		}
		next := list[0]
		list = list[1:]
		return next, nil
	}
}

func container(t *testing.T, root string) *treecopy.Tree {
	t.Helper()
	tree, err := treecopy.Container(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

// A copy goes over in messages of a bounded size, and what was left out comes last.
func TestSendAndReceive(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), Size/10)
	if err := errors.Join(
		os.Mkdir(filepath.Join(from, "d"), 0o755), os.WriteFile(filepath.Join(from, "d/file"), content, 0o644),
		unix.Mknod(filepath.Join(from, "d/socket"), unix.S_IFSOCK|0o600, 0),
	); err != nil {
		t.Fatal(err)
	}
	var sent []*typesv1.CopyPart
	if err := Send(context.Background(), container(t, from), "/d", false, func(p *typesv1.CopyPart) error {
		sent = append(sent, &typesv1.CopyPart{Source: p.GetSource(), Data: bytes.Clone(p.GetData()), LeftOut: p.GetLeftOut()})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, p := range sent {
		if len(p.GetData()) > Size || (p.GetSource() != nil) != (i == 0) || (len(p.GetLeftOut()) > 0) != (i == len(sent)-1) {
			t.Errorf("part %d of %d: %d bytes, source %v, left out %v", i, len(sent), len(p.GetData()), p.GetSource(), p.GetLeftOut())
		}
	}
	left, err := Receive(context.Background(), container(t, to), "/new", false, After(sent[0], queue(sent[1:]...)))
	if err != nil || len(left) != 1 || left[0] != "d/socket" {
		t.Errorf("left out %q, %v", left, err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "new/file")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

func TestReceiveFails(t *testing.T) {
	t.Parallel()
	source := &typesv1.CopyPart{Source: &typesv1.CopySource{Name: "f"}}
	flood := &typesv1.CopyPart{LeftOut: make([]string, maxLeftOut/2)}
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		receive func() (*typesv1.CopyPart, error)
		is      func(error) bool
	}{
		"nothing":          {queue(), func(err error) bool { return errors.Is(err, io.EOF) }},
		"cut short":        {queue(source, &typesv1.CopyPart{Data: []byte("not whole")}), errdefs.IsInvalidArgument},
		"names and names":  {queue(source, flood, flood, flood), errdefs.IsInvalidArgument},
		"the sender fails": {After(source, func() (*typesv1.CopyPart, error) { return nil, broken }), func(err error) bool { return errors.Is(err, broken) }},
	} {
		if _, err := Receive(context.Background(), container(t, t.TempDir()), "/f", false, test.receive); !test.is(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A server that gives up is no error of the sender, whose own is.
func TestUpload(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	refuse := func(*typesv1.CopyPart) error { return io.EOF }
	if err := Upload(queue(&typesv1.CopyPart{}), refuse); err != nil {
		t.Error(err)
	}
	if err := Upload(func() (*typesv1.CopyPart, error) { return nil, broken }, refuse); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
