package rpc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/rpc"
)

func TestHelperLogIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := rpc.HelperLog(f)
	line := append(bytes.Repeat([]byte("x"), 999), '\n')
	for i := range 2500 {
		if i == 2499 {
			line = []byte("last\n")
		}
		if _, err := log.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) == 0 || len(content) > 1<<20 || !bytes.HasSuffix(content, []byte("x\nlast\n")) {
		t.Errorf("%d bytes, ending in %q", len(content), content[max(0, len(content)-8):])
	}
}
