package initramfs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
)

// kept is a kernel as it is kept, with two modules.
func kept(t *testing.T) kernel.Kernel {
	t.Helper()
	dir := t.TempDir()
	record, err := json.Marshal(kernel.Kernel{Release: "6.1", Modules: []string{"b.ko", "a.ko"}, Extras: map[string][]string{"extra": {"c.ko"}, "builtin": {}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"kernel.json": string(record), "modules/a.ko": "module a", "modules/b.ko": "b", "modules/c.ko": "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k, err := kernel.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type entry struct{ mode, content string }

// entries reads an archive back.
func entries(t *testing.T, archive []byte) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	pad := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; at+110 <= len(archive); {
		field := func(n int) int {
			v, err := strconv.ParseInt(string(archive[at+6+8*n:at+14+8*n]), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		if magic := string(archive[at : at+6]); magic != "070701" {
			t.Fatalf("magic number %q at %d", magic, at)
		}
		size, name := field(6), field(11)
		begin := pad(at + 110 + name)
		all[string(archive[at+110:at+110+name-1])] = entry{strconv.FormatInt(int64(field(1)), 8), string(archive[begin : begin+size])}
		at = pad(begin + size)
	}
	return all
}

func TestWrite(t *testing.T) {
	t.Parallel()
	agent := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(agent, []byte("the agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, kept(t), agent); err != nil {
		t.Fatal(err)
	}
	want := map[string]entry{
		"dev":                   {"40755", ""},
		"dev/console":           {"20600", ""},
		"dev/null":              {"20666", ""},
		"init":                  {"100755", "the agent"},
		"modules":               {"40755", ""},
		"modules/a.ko":          {"100644", "module a"},
		"modules/b.ko":          {"100644", "b"},
		"modules/c.ko":          {"100644", "c"},
		"modules/order":         {"100644", "b.ko\na.ko"},
		"modules/order.builtin": {"100644", ""},
		"modules/order.extra":   {"100644", "c.ko"},
		"TRAILER!!!":            {"0", ""},
	}
	if got := entries(t, b.Bytes()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestAFileThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	if err := Write(&bytes.Buffer{}, kept(t), "/nowhere/agent"); err == nil {
		t.Error("want an error")
	}
}
