package output_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"text/tabwriter"
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

// A list is what encoding/json makes of it.
func FuzzJSONList(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{}, [], {"a": [], "b\\\"\\": {"deep": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]],"c": [1, -2.5e7, true, null, "x\ny<&>\u2028"]}}, "[{,:}]"]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var items []any
		if json.Unmarshal(data, &items) != nil {
			return
		}
		var want, got, whole strings.Builder
		e := json.NewEncoder(&want)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if items == nil {
			items = []any{}
		}
		err := errors.Join(e.Encode(items), output.JSONList(&got, items), output.JSON(&whole, items))
		if err != nil || got.String() != want.String() || whole.String() != want.String() {
			t.Errorf("%q: got %s and %s, want %s; %v", data, got.String(), whole.String(), want.String(), err)
		}
	})
}

// A value that ends with a list is what encoding/json makes of it as a whole.
func FuzzEnding(f *testing.F) {
	f.Add("a<b", 0, 1)
	f.Add("", 3, 2)
	f.Add("\"}", 1, 3)
	f.Add(strings.Repeat("long\\ ", 30_000), 2, 1)
	f.Fuzz(func(t *testing.T, text string, count, depth int) {
		if count < 0 || count > 100 || depth < 1 || depth > 3 {
			return
		}
		type value struct {
			Text  string   `json:"text,omitempty"`
			Of    any      `json:"of,omitempty"`
			Items []string `json:"items,omitempty"`
		}
		var items []string
		var listed []any
		for i := range count {
			items, listed = append(items, fmt.Sprint(text, i)), append(listed, fmt.Sprint(text, i))
		}
		whole, head := value{Text: text, Items: items}, value{Text: text}
		for range depth - 1 {
			whole, head = value{Text: text, Of: whole}, value{Text: text, Of: head}
		}
		ending := output.Ending{Value: head, Field: "items", Depth: depth, Items: each(listed...)}
		var want, got strings.Builder
		e := json.NewEncoder(&want)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := errors.Join(e.Encode([]any{whole, 1}), output.JSONEach(&got, each(ending, 1))); err != nil || got.String() != want.String() {
			t.Errorf("got %s, want %s; %v", got.String(), want.String(), err)
		}
	})
}

func each(items ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// What ends with an error in its middle is an error, and no JSON.
func TestEndingEnds(t *testing.T) {
	t.Parallel()
	torn := errors.New("torn")
	for name, e := range map[string]output.Ending{
		"an item is none": {Value: struct{}{}, Field: "items", Depth: 1, Items: func(yield func(any, error) bool) {
			if yield(1, nil) {
				yield(nil, torn)
			}
		}},
		"a value with less in it": {Value: struct{}{}, Field: "items", Depth: 2, Items: each()},
	} {
		var got strings.Builder
		err := output.JSONEach(&got, each(e))
		if err == nil || json.Valid([]byte(got.String())) {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}

// The first items are written before the last ones are there.
func TestItemsAreWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	var writes writeCounter
	item, early := strings.Repeat("x", 100), writeCounter(0)
	err := output.JSONEach(&writes, func(yield func(string, error) bool) {
		for range 10_000 {
			if early = writes; !yield(item, nil) {
				return
			}
		}
	})
	if err != nil || early < 10 {
		t.Errorf("%d writes before the last item, want 10 or more; %v", early, err)
	}
}

// A table is what text/tabwriter makes of it.
func FuzzTable(f *testing.F) {
	f.Add("häuser", "", "a", "\x01")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if strings.Contains(a+b+c+d, "\xff") { // which tabwriter takes for the begin of a text without tabs
			return
		}
		table := output.NewTable("NAME", "ÄGE")
		table.Add(a, b)
		table.Add(c, d)
		var want, got strings.Builder
		tw := tabwriter.NewWriter(&want, 0, 8, 3, ' ', 0)
		fmt.Fprintln(tw, "NAME\tÄGE")
		for _, row := range [][]string{{a, b}, {c, d}} {
			for i, cell := range row {
				row[i] = cmp.Or(output.Printable(cell), "-")
			}
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := errors.Join(tw.Flush(), table.Write(&got)); err != nil || got.String() != want.String() {
			t.Errorf("got\n%s\nwant\n%s\n%v", got.String(), want.String(), err)
		}
	})
}

// Neither a table nor JSON takes memory for each of its cells.
func TestWritingTakesNoMemoryForEach(t *testing.T) {
	allocations := func(count int) float64 {
		table, items := output.NewTable("ID", "NAME"), make([]int, count)
		for range items {
			table.Add("0123456789abcdef", "name")
		}
		return testing.AllocsPerRun(5, func() {
			if err := errors.Join(table.Write(io.Discard), output.JSON(io.Discard, items)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few+10 {
		t.Errorf("10 rows take %v allocations, 1000 %v", few, many)
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
