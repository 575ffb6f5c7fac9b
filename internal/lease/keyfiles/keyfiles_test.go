package keyfiles_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	gocmp "github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/lease/keyfiles"
)

type value struct{ Key, Text string }

func TestDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "values")
	d := keyfiles.In(path, func(v *value) string { return v.Key })
	load := func() []*value {
		t.Helper()
		all, err := d.Load(d.Beside("other"))
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(all, func(a, b *value) int { return cmp.Compare(a.Key, b.Key) })
		return all
	}
	if all := load(); len(all) != 0 {
		t.Errorf("at first: got %d values", len(all))
	}
	for _, v := range []*value{{"a/b", "old"}, {"a/b", "new"}, {"..", "dots"}, {"gone", ""}} {
		if err := d.Write(v); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // once more is no error
		if err := d.Remove("gone"); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{d.Beside("other"), filepath.Join(path, "half.json.tmp")} {
		if err := os.WriteFile(other, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff([]*value{{"..", "dots"}, {"a/b", "new"}}, load()); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if names, err := os.ReadDir(path); len(names) != 3 || err != nil {
		t.Errorf("got %v, %v, want both values and what is beside them", names, err)
	}

	if err := os.Rename(filepath.Join(path, "...json"), filepath.Join(path, "stray.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(d.Beside("other")); !errdefs.IsDataLoss(err) {
		t.Errorf("a file with another's key: got %v, want data loss", err)
	}
}
