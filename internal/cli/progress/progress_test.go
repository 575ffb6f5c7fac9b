package progress_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"

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

// TestBars: on a terminal each part has a line of its own, which changes.
func TestBars(t *testing.T) {
	t.Parallel()
	ours, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := ours.Resize(console.WinSize{Width: 120, Height: 10}); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := progress.New(theirs)
	one, two := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	for _, s := range []progress.Step{
		{Name: "resolve"},
		{ID: one, Name: "download", Current: 500, Total: 2000},
		{ID: two, Name: "present"},
		{ID: one, Name: "done", Current: 2000, Total: 2000},
	} {
		d.Show(s)
	}
	d.Close()
	theirs.Close()
	shown, _ := io.ReadAll(ours) // EIO once nobody has the terminal open: pty(7)
	const up, erase = "\x1b[%dA", "\x1b[2K\r"
	want := "\n" + fmt.Sprintf(up, 1) + erase + "abababababab: download [============>" + strings.Repeat(" ", 38) + "]     500B/2kB\r\x1b[1B" +
		"\n" + fmt.Sprintf(up, 1) + erase + "cdcdcdcdcdcd: present \r\x1b[1B" +
		fmt.Sprintf(up, 2) + erase + "abababababab: done [" + strings.Repeat("=", 50) + ">]      2kB/2kB\r\x1b[2B"
	if got := strings.ReplaceAll(string(shown), "\r\n", "\n"); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestNoneShowsNothing(t *testing.T) {
	t.Parallel()
	d := progress.None()
	d.Show(progress.Step{Name: "download"})
	d.Close()
}
