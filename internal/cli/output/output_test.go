package output_test

import (
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/cli/output"
)

func TestTable(t *testing.T) {
	t.Parallel()
	table := output.NewTable("NAME", "STATE")
	table.Add("web", "")
	table.Add("évil\x1b[2J\n", "ready")
	var out strings.Builder
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "NAME        STATE\nweb         -\névil?[2J?   ready\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestJSONLeavesTextAsItIs(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := output.JSON(&out, []string{"a<b&c"}); err != nil {
		t.Fatal(err)
	}
	if want := "[\n  \"a<b&c\"\n]\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		output.Age(now.Add(-90*time.Second), now):            "about a minute",
		output.Age(now.Add(time.Hour), now):                  "less than a second",
		output.Age(time.Time{}, now):                         "",
		output.Size(4_200_000):                               "4.2MB",
		output.Short("häuser", 4, false):                     "häu…",
		output.Short("häuser", 4, true):                      "häuser",
		output.ShortDigest("sha256:0123456789abcdef", false): "0123456789ab",
		output.ShortDigest("sha256:0123456789abcdef", true):  "sha256:0123456789abcdef",
		output.ShortDigest("/some/where/rootfs.tar", false):  "/some/where/rootfs.tar",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A table of a thousand rows does not take a system call for each cell.
func TestTableIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	table := output.NewTable("ID", "NAME")
	for range 1000 {
		table.Add("0123456789abcdef", "name")
	}
	var writes writeCounter
	if err := table.Write(&writes); err != nil {
		t.Fatal(err)
	}
	if writes > 2 {
		t.Errorf("%d writes, want one", writes)
	}
}

type writeCounter int

func (c *writeCounter) Write(p []byte) (int, error) {
	*c++
	return len(p), nil
}
