package progress_test

import (
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/cli/progress"
)

func TestLinesShowEachStepOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	d := progress.New(&out)
	blob := "sha256:" + strings.Repeat("ab", 32)
	for _, s := range []progress.Step{
		{Name: "resolve"},
		{ID: blob, Name: "download", Current: 1, Total: 2000},
		{ID: "sha256:" + strings.Repeat("cd", 32), Name: "present"},
		{ID: blob, Name: "download", Current: 2000, Total: 2000},
		{ID: blob, Name: "unpack"},
		{Name: "done"},
	} {
		d.Show(s)
	}
	d.Close()
	d.Show(progress.Step{Name: "late"})
	want := "resolve\nabababababab: download 2kB\ncdcdcdcdcdcd: present\nabababababab: unpack\ndone\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestNoneShowsNothing(t *testing.T) {
	t.Parallel()
	d := progress.None()
	d.Show(progress.Step{Name: "download"})
	d.Close()
}
