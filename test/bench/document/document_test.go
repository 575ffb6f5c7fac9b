package document

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Page\n\n<!-- a -->\nold\n<!-- /a -->\n\n<!-- b -->\nothers\n<!-- /b -->\nend\n"
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(page, "old\n", "\n| new |\n\n", 1)
	for range 2 { // the second time changes nothing
		if err := Put(path, "a", "| new |\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("page = %q, %v, want %q", got, err, want)
		}
	}
	for _, name := range []string{"c", "/a"} {
		if err := Put(path, name, "x"); err == nil {
			t.Errorf("name %q: want an error: the page has no such place", name)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("name %q: the page was changed to %q, %v", name, got, err)
		}
	}
}
